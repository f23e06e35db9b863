package jobs

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

func TestStopHandsBackAndFinishes(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		release := make(chan struct{})
		var taken atomic.Int32
		k := r.worker(2, func(_ context.Context, a *Attempt) (Outcome, error) {
			taken.Add(1)
			<-release
			return Outcome{}, a.Answer([]byte("old"))
		})
		var streams []*Stream
		for range 6 {
			streams = append(streams, r.submit(cl, newJob("{}")))
		}
		within(t, patience, "two running", func() bool { return taken.Load() == 2 })
		stopped := make(chan error, 1)
		go func() { stopped <- k.Stop(context.Background()) }()
		within(t, patience, "stopping", func() bool {
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.slots.stopping
		})
		r.worker(10, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte("new")) })
		close(release)
		count := map[string]int{}
		for _, s := range streams {
			res := collect(s, patience)
			count[res.text]++
		}
		if count["old"] != 2 || count["new"] != 4 {
			t.Fatalf("%v", count)
		}
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		r.empty()
	})
}

// TestIdleStopIsQuick takes the best of a few: the machine may be busy.
func TestIdleStopIsQuick(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		best := time.Hour
		for range 3 {
			k := r.worker(4, say("x"))
			if res := collect(r.submit(r.client(), newJob("{}")), patience); res.failed != nil {
				t.Fatalf("%+v", res)
			}
			began := time.Now()
			if err := k.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(began))
		}
		if best > 2*pullExpires {
			t.Errorf("an idle worker took %s to stop", best)
		}
	})
}

func TestStopCutsShort(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var h hold
		k := r.worker(2, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if a.Job().Stream {
				if err := a.Chunk([]byte("data: half\n\n")); err != nil {
					return Outcome{}, err
				}
			}
			return h.run(ctx, a)
		})
		j := newJob("{}")
		j.Stream = false
		plain, streamed := r.submit(cl, j), r.submit(cl, newJob("{}"))
		awaitEvent(t, streamed, Chunk)
		within(t, patience, "both running", func() bool { return h.running.Load() == 2 })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := k.Stop(ctx); err == nil {
			t.Fatal("nothing was cut")
		}
		r.worker(2, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte("new")) })
		if res := collect(plain, patience); res.text != "new" {
			t.Fatalf("%+v", res)
		}
		if res := collect(streamed, patience); res.failed == nil {
			t.Fatalf("%+v", res)
		}
		r.empty()
	})
}

// However often a job is handed back, it does not count as lost with its workers.
func TestHandedBackCountsTowardNothing(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := newJob("{}")
		j.Stream = false
		s := r.submit(cl, j)
		stop, cancel := context.WithCancel(t.Context())
		cancel()
		for range maxLost + 1 {
			var h hold
			k := r.worker(1, h.run)
			awaitEvent(t, s, Started)
			if err := k.Stop(stop); err == nil {
				t.Fatal("nothing was cut")
			}
			within(t, patience, "handed back", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.control == ""
			})
		}
		r.worker(1, say("x"))
		if res := collect(s, patience); res.text != "x" || res.failed != nil || s.lost != 0 {
			t.Fatalf("lost %d times: %+v", s.lost, res)
		}
		r.empty()
	})
}
