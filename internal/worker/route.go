package worker

import (
	"math"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

// order returns the indexes of a model's targets in the order in which one job
// tries them. Neighbours with a weight form a group whose order is drawn; draw(n)
// returns a number in [0, n).
func order(weights []int, draw func(n int) int) []int {
	seq := make([]int, len(weights))
	for i := range seq {
		seq[i] = i
	}
	for from := 0; from < len(weights); {
		to := from
		for to < len(weights) && weights[to] > 0 {
			to++
		}
		shuffle(seq[from:to], weights, draw)
		from = max(to, from+1)
	}
	return seq
}

// shuffle draws the order of a group: each place goes to one of those left, by
// its share of their weights.
func shuffle(group, weights []int, draw func(n int) int) {
	for ; len(group) > 1; group = group[1:] {
		total := 0
		for _, i := range group {
			total += weights[i]
		}
		pick, n := 0, draw(total)
		for n >= weights[group[pick]] {
			n -= weights[group[pick]]
			pick++
		}
		// The others keep their order, so that a draw is easy to follow.
		chosen := group[pick]
		copy(group[1:pick+1], group[:pick])
		group[0] = chosen
	}
}

// step is what to do after a failed call.
type step uint8

const (
	again step = iota // the same target, after a wait
	next              // the next target, at once
	stop              // tell the client
)

// noDeadline is the time left of a job without a deadline.
const noDeadline = time.Duration(math.MaxInt64)

// judge decides what follows a call that failed with e before anything was
// emitted. calls is how many were made to this target, left the time until the
// deadline, jitter a random number in [0, 1).
//
// A wait is the larger of the backoff and the server's wish. Where it is longer
// than r.Max or than the time left, waiting is of no use and the next target is
// tried: a client that is told of a Retry-After can wait without holding a slot.
func judge(e *provider.Error, r Retries, calls int, left time.Duration, jitter float64) (step, time.Duration) {
	if e.Retry && calls < r.Attempts {
		wait := max(backoff(r, calls, jitter), e.RetryAfter)
		if e.RetryAfter <= r.Max && wait < left {
			return again, wait
		}
	}
	if e.Fallback || e.Retry {
		return next, 0
	}
	return stop, 0
}

// backoff is the wait after the given number of calls: Base, doubled with each
// call, at most Max, of which the second half is random so that jobs that failed
// together do not come back together.
func backoff(r Retries, calls int, jitter float64) time.Duration {
	d := r.Base
	for i := 1; i < calls && d < r.Max; i++ {
		d *= 2
	}
	d = min(d, r.Max)
	return d/2 + time.Duration(jitter*float64(d/2))
}

// faults keeps, of the errors of several calls, the one the client is told: the
// last of the most hopeful kind. A server's fault or a time-out says that the
// same request may succeed; a rate limit says so too, with a time, and is told
// when nothing else went wrong, with the shortest time; a refusal of the request
// comes last. The zero value has seen none.
type faults struct {
	best *protocol.Error
	rank int
}

func (f *faults) add(e *protocol.Error) {
	rank := 1
	switch {
	case e.Status >= 500:
		rank = 3
	case e.Status == 429:
		rank = 2
	}
	switch {
	case rank < f.rank:
		return
	case rank == 2 && f.rank == 2 && f.best.RetryAfter > 0 && (e.RetryAfter == 0 || e.RetryAfter > f.best.RetryAfter):
		return
	}
	f.best, f.rank = e, rank
}
