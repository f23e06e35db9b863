package worker

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

// newTestTarget is a target with a place for so many calls; 0 is unbounded.
func newTestTarget(g *gate, name string, concurrency int) *target {
	spec := &ProviderSpec{Name: name, Breaker: Breaker{Failures: 1, Cooldown: 10 * time.Second}}
	t := newTarget(spec, name, g.pin(targetKey{provider: name}, name), g)
	t.concurrency = concurrency
	return t
}

// take acquires one of targets, which must not block.
func take(t *testing.T, g *gate, targets ...*target) lease {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("acquire would block"))
	l, err := g.acquire(ctx, jobs.Interactive, targets)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// pass lets time pass in a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }

func TestGateTakesTheFirstFree(t *testing.T) {
	g := newGate()
	a, b := newTestTarget(g, "a", 1), newTestTarget(g, "b", 0)
	first := take(t, g, a, b)
	second := take(t, g, a, b)
	if first.target != a || second.target != b {
		t.Errorf("got %s and %s, not a and b", first.target.provider, second.target.provider)
	}
	g.end(first, succeeded)
	if again := take(t, g, a, b); again.target != a {
		t.Errorf("got %s after a was given back", again.target.provider)
	}
}

func TestGateProviderQuotaCountsAllItsTargets(t *testing.T) {
	g := newGate()
	spec := &ProviderSpec{Name: "p", Concurrency: 1}
	one := newTarget(spec, "one", g.pin(targetKey{model: "one"}, "one"), g)
	two := newTarget(spec, "two", g.pin(targetKey{model: "two"}, "two"), g)
	other := newTestTarget(g, "other", 0)
	l := take(t, g, one)
	if got := take(t, g, two, other); got.target != other {
		t.Error("a second call to a provider with room for one")
	}
	g.end(l, succeeded)
	if got := take(t, g, two, other); got.target != two {
		t.Error("the place was not given back")
	}
}

func TestGateServesInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		a := newTestTarget(g, "a", 1)
		held := take(t, g, a)
		var served []int
		for i := range 5 {
			class := []jobs.Class{jobs.Batch, jobs.Interactive, jobs.Background, jobs.Batch, jobs.Interactive}[i]
			go func() {
				l, err := g.acquire(t.Context(), class, []*target{a})
				if err != nil {
					t.Error(err)
					return
				}
				served = append(served, i) // the place guards it
				pass(time.Second)
				g.end(l, succeeded)
			}()
			synctest.Wait()
		}
		g.end(held, succeeded)
		synctest.Wait()
		pass(10 * time.Second)
		if !slices.Equal(served, []int{1, 4, 2, 0, 3}) {
			t.Errorf("served in the order %v", served)
		}
	})
}

func TestGateWaitsForWhicheverIsFreeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		a, b := newTestTarget(g, "a", 1), newTestTarget(g, "b", 1)
		take(t, g, a)
		onB := take(t, g, b)
		got := make(chan *target, 1)
		go func() {
			l, _ := g.acquire(t.Context(), jobs.Interactive, []*target{a, b})
			got <- l.target
		}()
		synctest.Wait()
		g.end(onB, succeeded)
		if l := <-got; l != b {
			t.Error("did not get the target that was free")
		}
	})
}

func TestGateEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		a := newTestTarget(g, "a", 1)
		held := take(t, g, a)
		cause := errors.New("client left")
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := g.acquire(ctx, jobs.Interactive, []*target{a})
			done <- err
		}()
		synctest.Wait()
		cancel(cause)
		if err := <-done; !errors.Is(err, cause) {
			t.Errorf("error is %v", err)
		}
		g.end(held, succeeded)
		if g.waiting() != 0 || a.condition.inUse != 0 {
			t.Errorf("%d wait, %d in use", g.waiting(), a.condition.inUse)
		}
	})
}

// TestGateLosesNoPlace lets waiters leave while they are served.
func TestGateLosesNoPlace(t *testing.T) {
	g := newGate()
	a := newTestTarget(g, "a", 2)
	done := make(chan struct{})
	const many = 200
	for i := range many {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer func() { done <- struct{}{} }()
			l, err := g.acquire(ctx, jobs.Interactive, []*target{a})
			if err == nil {
				g.end(l, succeeded)
			}
		}()
		if i%2 == 0 {
			go cancel()
		}
		defer cancel()
	}
	for range many {
		<-done
	}
	if a.condition.inUse != 0 || a.quota.inUse != 0 || g.waiting() != 0 {
		t.Errorf("%d in use, %d of the provider, %d wait", a.condition.inUse, a.quota.inUse, g.waiting())
	}
}

func TestGateSkipsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		a, b := newTestTarget(g, "a", 0), newTestTarget(g, "b", 0)
		g.end(take(t, g, a), failed)
		if l := take(t, g, a, b); l.target != b {
			t.Error("called a broken target")
		}
		pass(4 * time.Second)
		g.end(take(t, g, b), failed)
		_, err := g.acquire(t.Context(), jobs.Interactive, []*target{a, b})
		broken, ok := errors.AsType[*brokenError](err)
		if !ok || broken.wait != 6*time.Second {
			t.Fatalf("error is %v, not that all are broken for 6s", err)
		}
		pass(6 * time.Second)
		probe := take(t, g, b, a)
		if probe.target != a || !probe.probe {
			t.Error("no probe of the target that cooled down")
		}
		if _, err := g.acquire(t.Context(), jobs.Interactive, []*target{a}); err == nil {
			t.Error("a second call beside the probe")
		}
		g.end(probe, succeeded)
		take(t, g, a)
	})
}

func TestGateWaitersLearnThatAllBroke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		a := newTestTarget(g, "a", 1)
		held := take(t, g, a)
		done := make(chan error, 1)
		go func() {
			_, err := g.acquire(t.Context(), jobs.Interactive, []*target{a})
			done <- err
		}()
		synctest.Wait()
		g.end(held, failed)
		if _, ok := errors.AsType[*brokenError](<-done); !ok {
			t.Error("the waiter was not told")
		}
	})
}

func TestGateWaiterProbesWhatCooledDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		full, broken := newTestTarget(g, "full", 1), newTestTarget(g, "broken", 1)
		take(t, g, full)
		g.end(take(t, g, broken), failed)
		start := time.Now()
		l, err := g.acquire(t.Context(), jobs.Interactive, []*target{full, broken})
		if err != nil || l.target != broken || !l.probe {
			t.Fatalf("got %+v, %v", l, err)
		}
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("waited %v, not the cool-down", waited)
		}
	})
}

// TestGateForgetsUnlisted bounds what clients can make a worker remember.
func TestGateForgetsUnlisted(t *testing.T) {
	g := newGate()
	spec := &ProviderSpec{Name: "p", Breaker: Breaker{Failures: 1, Cooldown: time.Hour}}
	use := func(name string, r result) {
		c := g.hold(targetKey{provider: "p", model: name}, "p/*")
		g.end(take(t, g, newTarget(spec, name, c, g)), r)
		g.drop(c)
	}
	use("fine", succeeded)
	if len(g.targets) != 0 {
		t.Errorf("%d healthy targets are remembered", len(g.targets))
	}
	for i := range 3 * maxUnlisted {
		use("broken"+strconv.Itoa(i), failed)
	}
	if len(g.targets) > maxUnlisted {
		t.Errorf("%d targets are remembered", len(g.targets))
	}
}
