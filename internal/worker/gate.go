package worker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

// gate admits calls to targets: it counts those under way, asks the breakers and
// lets jobs wait their turn: by class, an interactive job never behind a batch's,
// and within a class first come first served. There is one for all targets of a
// worker, so that a job can wait for whichever of several is free first.
type gate struct {
	mu      sync.Mutex // guards everything below, and every condition and quota
	targets map[targetKey]*condition
	quotas  map[string]*quota // by provider
	waiters []*waiter         // by class, then in order of arrival
}

// lease is the right to one call of a target. It is given back once, by end.
type lease struct {
	target *target
	probe  bool
}

// waiter is a job that found all of its targets full.
type waiter struct {
	class   jobs.Class
	targets []*target
	turn    chan admission // written once, with gate.mu held, when removed from gate.waiters; capacity 1
}

type admission struct {
	lease lease
	err   error
}

// brokenError says that every target's breaker is open.
type brokenError struct{ wait time.Duration }

func (e *brokenError) Error() string { return fmt.Sprintf("all targets are broken for %v", e.wait) }

func newGate() *gate {
	return &gate{targets: make(map[targetKey]*condition), quotas: make(map[string]*quota)}
}

// acquire takes the first of targets that may be called now. If all that work
// are full it blocks until one is free or ctx ends, then with the context's
// cause. If none works it returns a *brokenError at once.
func (g *gate) acquire(ctx context.Context, class jobs.Class, targets []*target) (lease, error) {
	g.mu.Lock()
	got, full, retry := g.pick(targets, time.Now())
	if got.target != nil || !full {
		g.mu.Unlock()
		if got.target == nil {
			return lease{}, &brokenError{wait: retry}
		}
		return got, nil
	}
	w := &waiter{class: class, targets: targets, turn: make(chan admission, 1)}
	behind := slices.IndexFunc(g.waiters, func(other *waiter) bool { return other.class > class })
	if behind < 0 {
		behind = len(g.waiters)
	}
	g.waiters = slices.Insert(g.waiters, behind, w)
	g.mu.Unlock()
	return g.wait(ctx, w, retry)
}

// wait blocks until w has its turn. A broken target among those w waits for may
// be probed after retry, which nobody announces: then w looks for itself.
func (g *gate) wait(ctx context.Context, w *waiter, retry time.Duration) (lease, error) {
	for {
		var cooled <-chan time.Time
		if retry > 0 {
			cooled = time.After(retry)
		}
		select {
		case a := <-w.turn:
			return a.lease, a.err
		case <-ctx.Done():
			g.leave(w)
			return lease{}, context.Cause(ctx)
		case <-cooled:
			g.mu.Lock()
			g.admit()
			_, _, retry = g.look(w.targets, time.Now())
			g.mu.Unlock()
		}
	}
}

// leave takes w out of the queue, giving back what it may have been given.
func (g *gate) leave(w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiters, w); i >= 0 {
		g.waiters = slices.Delete(g.waiters, i, i+1)
		return
	}
	if a := <-w.turn; a.lease.target != nil {
		g.give(a.lease, abandoned, time.Now())
	}
}

// end gives l back and notes what the call says about the target's health. It
// returns what the target's breaker was and is.
func (g *gate) end(l lease, r result) (before, after breakerState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := &l.target.condition.breaker
	before = b.state
	g.release(l, r, time.Now())
	after = b.state // admit may begin a probe
	g.admit()
	return before, after
}

func (g *gate) give(l lease, r result, now time.Time) {
	g.release(l, r, now)
	g.admit()
}

func (g *gate) release(l lease, r result, now time.Time) {
	h := l.target.condition
	h.inUse--
	l.target.quota.inUse--
	h.breaker.end(l.target.breaker, l.probe, r, now)
}

// admit serves the waiters in their order.
func (g *gate) admit() {
	if len(g.waiters) == 0 {
		return
	}
	now := time.Now()
	g.waiters = slices.DeleteFunc(g.waiters, func(w *waiter) bool {
		got, full, retry := g.pick(w.targets, now)
		switch {
		case got.target != nil:
			w.turn <- admission{lease: got}
		case !full:
			w.turn <- admission{err: &brokenError{wait: retry}}
		default:
			return false
		}
		return true
	})
}

// pick takes the first of targets that may be called.
func (g *gate) pick(targets []*target, now time.Time) (got lease, full bool, retry time.Duration) {
	t, full, retry := g.look(targets, now)
	if t == nil {
		return lease{}, full, retry
	}
	t.condition.inUse++
	t.quota.inUse++
	return lease{target: t, probe: t.condition.breaker.begin()}, false, 0
}

// look returns the first of targets that may be called; without one, whether any
// is merely full, and how long until a broken one may be tried (0 if none is).
func (g *gate) look(targets []*target, now time.Time) (found *target, full bool, retry time.Duration) {
	for _, t := range targets {
		ok, wait := t.condition.breaker.ready(now)
		switch {
		case !ok && (retry == 0 || wait < retry):
			retry = wait
		case !ok:
		case t.full():
			full = true
		default:
			return t, false, 0
		}
	}
	return nil, full, retry
}

// waiting is the number of jobs that wait for a target.
func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiters)
}
