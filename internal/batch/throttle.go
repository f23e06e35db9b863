package batch

import (
	"math/rand/v2"
	"time"
)

const (
	retryLeast = time.Second
	retryMost  = time.Minute
	// pauseLeast doubles with every round of failures, up to pauseMost.
	pauseLeast = 250 * time.Millisecond
	pauseMost  = 15 * time.Second
	// cautious is how many failures in a row are taken for those of single requests.
	cautious = 4
	// probes is how many requests go out in a round at least.
	probes = 16
)

// retryDelay is how long a request rests before its nth retry, from 1: twice as long
// each time, with jitter, and never less than the provider asked for.
func retryDelay(n int, asked time.Duration) time.Duration {
	d := min(retryLeast<<min(n-1, 10), retryMost)
	return max(d/2+rand.N(d/2+1), asked)
}

// throttle keeps a batch from running into a provider that is busy or away. While
// requests fail and none succeeds, they go out in rounds, each of half as many as the
// one before and after a pause twice as long. It does no I/O.
type throttle struct {
	row   int       // failures since the last success
	round uint      // of failures; 0: all is well
	until time.Time // nothing is submitted before
}

// restore goes on where another driver stood.
func (t *throttle) restore(round uint, until, now time.Time) {
	if round == 0 {
		return
	}
	t.row, t.round = cautious, min(round, 16)
	if latest := now.Add(retryMost); until.After(latest) { // by another clock
		until = latest
	}
	t.until = until
}

// success notes that the provider answers.
func (t *throttle) success() { *t = throttle{} }

// failure notes a failure that may pass, of a request that was submitted at a time.
// Those of a round count once.
func (t *throttle) failure(submitted, now time.Time, asked time.Duration) {
	if t.row++; t.row < cautious || submitted.Before(t.until) {
		return
	}
	t.until = now.Add(max(min(pauseLeast<<t.round, pauseMost), min(asked, retryMost)))
	t.round = min(t.round+1, 16)
}

// failing reports whether requests go out in rounds.
func (t *throttle) failing() bool { return t.round > 0 }

// room returns how many may be out, given the share of the batch.
func (t *throttle) room(share int, now time.Time) int {
	if now.Before(t.until) {
		return 0
	}
	return max(share>>t.round, min(share, probes))
}
