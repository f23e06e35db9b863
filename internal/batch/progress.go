package batch

import (
	"container/heap"
	"strings"
	"sync/atomic"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

// progress is which requests of a batch are done, and which comes next. It does no
// I/O and knows no clock.
//
// Invariant: a request is in exactly one place: ahead of the cursor, deferred, in
// flight, waiting to be tried again, or done.
type progress struct {
	total     int
	cursor    int // the first request that was never looked at
	done      []uint64
	completed int
	failed    int
	flying    map[int]*flight
	deferred  map[string][]int // looked at, and put off until their pool has room
	again     retries
	tries     map[int]int    // of requests that failed and are not done: how often they were tried
	faults    map[int]string // of some of them: what was the matter last
}

// flight is a request that is queued or running.
type flight struct {
	request int
	try     int
	pool    string
	bytes   int64                       // of the request
	stream  atomic.Pointer[jobs.Stream] // nil until it was submitted
	started atomic.Bool
	since   time.Time // it was submitted
	stop    func()    // stops waiting for it
	job     jobs.Job  // without its body; the zero one if it was never submitted
}

func newProgress(total int) *progress {
	return &progress{
		total: total, done: make([]uint64, (total+63)/64),
		flying: map[int]*flight{}, deferred: map[string][]int{}, tries: map[int]int{}, faults: map[int]string{},
	}
}

func (p *progress) isDone(i int) bool { return p.done[i/64]&(1<<(i%64)) != 0 }

// finish notes a result, and reports whether it is the first of its request.
func (p *progress) finish(i int, completed bool) bool {
	if p.isDone(i) {
		return false
	}
	p.done[i/64] |= 1 << (i % 64)
	delete(p.tries, i)
	delete(p.faults, i)
	if completed {
		p.completed++
	} else {
		p.failed++
	}
	return true
}

// over reports whether every request is done.
func (p *progress) over() bool { return p.completed+p.failed == p.total }

// missing calls f for each request without a result.
func (p *progress) missing(f func(i int)) {
	for i := range p.total {
		if !p.isDone(i) {
			f(i)
		}
	}
}

// next returns a request to look at: one that is due again, one put off whose pool
// has room now, else the next of the file. ok is false if there is none for now.
// While requests fail, those that were tried most go first: the sooner one of them
// succeeds, the sooner all may go.
func (p *progress) next(now time.Time, failing bool, room func(pool string) bool) (i, try int, ok bool) {
	for len(p.again) > 0 && !p.again[0].at.After(now) {
		r := heap.Remove(&p.again, p.again.choose(now, failing)).(retry)
		if !p.isDone(r.request) {
			return r.request, r.try, true
		}
	}
	for pool, waiting := range p.deferred {
		for len(waiting) > 0 && room(pool) {
			i, waiting = waiting[0], waiting[1:]
			p.deferred[pool] = waiting
			if !p.isDone(i) {
				return i, p.tries[i], true
			}
		}
		if len(waiting) == 0 {
			delete(p.deferred, pool)
		}
	}
	for p.cursor < p.total {
		i = p.cursor
		p.cursor++
		if !p.isDone(i) {
			return i, p.tries[i], true
		}
	}
	return 0, 0, false
}

// putOff keeps a request until its pool has room.
func (p *progress) putOff(i, try int, pool string, now time.Time) {
	if try > 0 {
		p.tryAgain(i, try, now)
		return
	}
	p.deferred[pool] = append(p.deferred[pool], i)
}

// maxFault bounds the bytes that are remembered of a fault.
const maxFault = 200

// fault remembers what was the matter with a request that is tried again.
func (p *progress) fault(i int, text string) {
	if len(text) > maxFault {
		text = strings.ToValidUTF8(text[:maxFault], "") + "…"
	}
	p.faults[i] = text
}

// tryAgain has a request come again at a time, for the given try.
func (p *progress) tryAgain(i, try int, at time.Time) {
	if try > 0 {
		p.tries[i] = try
	}
	heap.Push(&p.again, retry{at: at, request: i, try: try})
}

// rewind begins anew with what is not done. What was tried before is not forgotten.
func (p *progress) rewind() {
	p.cursor, p.again = 0, nil
	clear(p.deferred)
}

// retry is a request that failed in a way that may pass.
type retry struct {
	at      time.Time
	request int
	try     int
}

// retries is a heap: the one that is due first is at 0.
type retries []retry

// choose returns the index of the retry to go first; there is one that is due.
func (r *retries) choose(now time.Time, failing bool) (at int) {
	for i, one := range *r {
		if failing && !one.at.After(now) && one.try > (*r)[at].try {
			at = i
		}
	}
	return at
}

// Len implements heap.Interface.
func (r *retries) Len() int { return len(*r) }

// Less implements heap.Interface.
func (r *retries) Less(i, j int) bool { return (*r)[i].at.Before((*r)[j].at) }

// Swap implements heap.Interface.
func (r *retries) Swap(i, j int) { (*r)[i], (*r)[j] = (*r)[j], (*r)[i] }

// Push implements heap.Interface.
func (r *retries) Push(x any) { *r = append(*r, x.(retry)) }

// Pop implements heap.Interface.
func (r *retries) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}
