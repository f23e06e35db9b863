package jobs

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
)

func TestNeverMoreJobsThanSlots(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var most atomic.Int32
		for range 2 {
			var running atomic.Int32
			r.worker(3, func(_ context.Context, a *Attempt) (Outcome, error) {
				n := running.Add(1)
				defer running.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				return Outcome{}, a.Answer([]byte("x"))
			})
		}
		var wg sync.WaitGroup
		for range 300 {
			s := r.submit(cl, newJob("{}"))
			wg.Go(func() {
				if res := collect(s, patience); res.text != "x" {
					t.Errorf("%+v", res)
				}
			})
		}
		wg.Wait()
		if most.Load() > 3 {
			t.Fatalf("%d jobs ran on three slots", most.Load())
		}
		r.empty()
	})
}

func TestClasses(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var batch hold
		r.workerWith(ConsumeConfig{Slots: 4, Reserved: 2}, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if a.Job().Class == Interactive {
				return Outcome{}, a.Answer([]byte("quick"))
			}
			return batch.run(ctx, a)
		})
		for i := range 6 {
			j := newJob("{}")
			j.Class = []Class{Batch, Background}[i%2]
			r.submit(cl, j)
		}
		within(t, patience, "batch jobs in the unreserved slots", func() bool { return batch.running.Load() == 2 })
		for range 20 {
			if res := collect(r.submit(cl, newJob("{}")), patience); res.text != "quick" {
				t.Fatalf("%+v", res)
			}
		}
		if n := batch.running.Load(); n != 2 {
			t.Fatalf("%d batch jobs run", n)
		}
	})
}

func TestOneSlotServesAllClasses(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte("x")) })
		var wg sync.WaitGroup
		for i := range 30 {
			j := newJob("{}")
			j.Class = Class(i % 3)
			s := r.submit(cl, j)
			wg.Go(func() {
				if res := collect(s, patience); res.text != "x" {
					t.Errorf("class %s: %+v", j.Class, res)
				}
			})
		}
		wg.Wait()
		r.empty()
	})
}
