package worker_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/osiris/osiris/internal/worker"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

// TestReload: a running attempt finishes with what it began with; the next one
// uses the new configuration, here with other slots too.
func TestReload(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		reached, goOn := make(chan struct{}), make(chan struct{})
		old := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
			events(w, delta("Hel"))
			close(reached)
			<-goOn
			events(w, delta("lo"), finish, usage, "[DONE]")
		})
		fresh := newUpstream(t, speakAs(true))
		rig := newRig(t, n, model(old))
		running := rig.submit("m", true, patience)
		await(t, reached)

		cfg := model(fresh)
		cfg.Slots = 3
		faulty := cfg
		faulty.Reserved = 3
		if err := rig.worker.Reload(t.Context(), faulty); err == nil {
			t.Error("a faulty configuration was taken")
		}
		if err := rig.worker.Reload(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		check(t, rig.ask("m", true), true)
		if fresh.calls.Load() != 1 {
			t.Errorf("%d calls of the new server", fresh.calls.Load())
		}
		close(goOn)
		check(t, rig.await(running), true)
		if old.calls.Load() != 1 {
			t.Errorf("%d calls of the old server", old.calls.Load())
		}
	})
}

// TestStopHandsBack: an attempt that is cut before anything was said is another
// worker's.
func TestStopHandsBack(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		reached := make(chan struct{}, 2)
		var calls atomic.Int64
		u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			if calls.Add(1) > 1 {
				speakAs(true)(w, r)
				return
			}
			reached <- struct{}{}
			<-r.Context().Done()
		})
		rig := newRig(t, n, model(u))
		s := rig.submit("m", true, patience)
		await(t, reached)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := rig.worker.Stop(ended); err == nil {
			t.Error("stopped without a word of the attempt that was cut")
		}
		newRig(t, n, worker.Config{Providers: model(u).Providers, Models: model(u).Models})
		check(t, rig.await(s), true)
	})
}
