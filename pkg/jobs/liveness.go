package jobs

import (
	"sync"
	"time"
)

// A worker that was not heard for suspectAfter is asked whether it is there; if
// nobody answers for its address, or it stays silent until deadAfter, its jobs are
// given to others. Text that a client has seen cannot be given to others, so a
// stream is given up only when the worker's address stays gone, or at hopelessAfter.
const (
	beatEvery     = 500 * time.Millisecond
	suspectAfter  = 1200 * time.Millisecond
	deadAfter     = 2500 * time.Millisecond
	goneForGood   = 2 * time.Second // a worker that changes to another node is away for less
	hopelessAfter = 10 * time.Second
	forgetAfter   = 10 * time.Minute
)

// health is how a worker looks from here.
type health uint8

const (
	healthy  health = iota
	suspect         // silent: ask
	dead            // silent for long: its jobs go to others
	hopeless        // gone, or silent so long that even its streams end
)

// judge decides from a worker's silence, and whether its address was found gone.
func judge(silence time.Duration, gone bool) health {
	switch {
	case silence >= hopelessAfter, gone && silence >= goneForGood:
		return hopeless
	case gone, silence >= deadAfter:
		return dead
	case silence >= suspectAfter:
		return suspect
	}
	return healthy
}

// liveness notes when workers, named by their control subjects, were last heard.
type liveness struct {
	mu    sync.Mutex
	heard map[string]time.Time
	gone  map[string]bool // nobody answers at the address
	heeds time.Time       // when this side last was known to hear: silence after that is perhaps its own
	died  uint64          // how often that was found
}

func newLiveness() *liveness {
	return &liveness{heard: map[string]time.Time{}, gone: map[string]bool{}}
}

func (l *liveness) seen(worker string, now time.Time) {
	if worker == "" {
		return
	}
	l.mu.Lock()
	l.heard[worker] = now
	if len(l.gone) > 0 {
		delete(l.gone, worker)
	}
	l.mu.Unlock()
}

// lost notes that nobody answers at the worker's address.
func (l *liveness) lost(worker string) {
	l.mu.Lock()
	l.gone[worker] = true
	l.died++
	l.mu.Unlock()
}

// deaths returns how often a worker was found gone.
func (l *liveness) deaths() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.died
}

// hears notes that at a time this side could be heard and hear.
func (l *liveness) hears(at time.Time) {
	l.mu.Lock()
	l.heeds = at
	l.mu.Unlock()
}

// excuse treats all workers as heard now: it was this side that did not listen.
func (l *liveness) excuse(now time.Time) {
	l.mu.Lock()
	for w := range l.heard {
		l.heard[w] = now
	}
	l.mu.Unlock()
}

// health judges one worker, by its silence while this side could hear. That one is gone
// was heard from the broker itself.
func (l *liveness) health(worker string, now time.Time) health {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard, ok := l.heard[worker]
	if !ok {
		l.heard[worker] = now
		return healthy
	}
	if l.gone[worker] {
		return judge(now.Sub(heard), true)
	}
	return judge(l.heeds.Sub(heard), false)
}

// silent returns the workers that should be asked whether they are there, and
// forgets those not heard for long.
func (l *liveness) silent(now time.Time) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ask []string
	for w, heard := range l.heard {
		silence := now.Sub(heard)
		switch {
		case silence > forgetAfter:
			delete(l.heard, w)
			delete(l.gone, w)
		case !l.gone[w] && judge(silence, false) != healthy:
			ask = append(ask, w)
		}
	}
	return ask
}
