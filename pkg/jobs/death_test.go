package jobs

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestWorkerDies(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var runs atomic.Int32
		first := r.worker(10, func(ctx context.Context, a *Attempt) (Outcome, error) {
			runs.Add(1)
			if a.Job().Stream {
				if err := a.Chunk([]byte("data: half\n\n")); err != nil {
					return Outcome{}, err
				}
			}
			<-ctx.Done()
			return Outcome{}, context.Cause(ctx)
		})
		var plain, streamed []*Stream
		for range 4 {
			j := newJob("{}")
			j.Stream = false
			plain = append(plain, r.submit(cl, j))
			s := r.submit(cl, newJob("{}"))
			awaitEvent(t, s, Chunk)
			streamed = append(streamed, s)
		}
		within(t, patience, "all running", func() bool { return runs.Load() == 8 })
		r.worker(10, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte("whole")) })
		died := time.Now()
		first.conn.nc.Close() // as kill -9 does
		for _, s := range plain {
			if res := collect(s, patience); res.text != "whole" || res.failed != nil {
				t.Fatalf("%+v", res)
			}
		}
		for _, s := range streamed {
			if res := collect(s, patience); res.failed == nil || res.text != "" {
				t.Fatalf("%+v", res)
			}
		}
		if took := time.Since(died); took > promised {
			t.Fatalf("recovered after %s", took)
		}
		r.empty()
	})
}

func TestWorkerDiesBeforeStart(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		dying := r.connect()
		control := dying.n.control("dying")
		inbox := dying.nc.NewInbox()
		got := make(chan *nats.Msg, 1)
		for subject, handle := range map[string]nats.MsgHandler{control: func(*nats.Msg) {}, inbox: func(m *nats.Msg) { got <- m }} {
			if _, err := dying.nc.Subscribe(subject, handle); err != nil {
				t.Fatal(err)
			}
		}
		if err := dying.nc.PublishRequest(dying.n.aliveWorker("dying"), control, nil); err != nil {
			t.Fatal(err)
		}
		s := r.submit(cl, newJob("{}"))
		within(t, patience, "stored", s.Stored)
		next := dying.apiPrefix + "CONSUMER.MSG.NEXT." + dying.n.jobsStream(Interactive) + "." + dying.n.consumer("default")
		if err := dying.nc.PublishRequest(next, inbox, []byte("1")); err != nil {
			t.Fatal(err)
		}
		<-got
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte("x")) })
		dying.nc.Close()
		if res := collect(s, patience); res.text != "x" {
			t.Fatalf("%+v", res)
		}
	})
}

func TestFrontendDies(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var h hold
		r.worker(3, h.run)
		for range 3 {
			r.submit(cl, newJob("{}"))
		}
		within(t, patience, "all running", func() bool { return h.running.Load() == 3 })
		cl.conn.nc.Close()
		within(t, patience, "cancelled", func() bool { return h.running.Load() == 0 })
		for _, u := range r.usage(3) {
			if u.Status != StatusCancelled {
				t.Fatalf("usage %+v", u)
			}
		}
		r.empty()
	})
}

// A worker that comes back under its old name knows nothing of what it ran: text
// that a client has seen ends with an error, everything else is run again.
func TestWorkerComesBackUnderItsName(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		first := r.workerWith(ConsumeConfig{WorkerID: "w", Slots: 2}, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if a.Job().Stream {
				if err := a.Chunk([]byte("data: half\n\n")); err != nil {
					return Outcome{}, err
				}
			}
			<-ctx.Done()
			return Outcome{}, context.Cause(ctx)
		})
		j := newJob("{}")
		j.Stream = false
		plain, streamed := r.submit(cl, j), r.submit(cl, newJob("{}"))
		awaitEvent(t, plain, Started)
		awaitEvent(t, streamed, Chunk)
		first.conn.nc.Close()
		r.workerWith(ConsumeConfig{WorkerID: "w", Slots: 2}, say("whole"))
		if res := collect(plain, 2*hopelessAfter); res.text != "whole" || res.failed != nil {
			t.Fatalf("%+v", res)
		}
		if res := collect(streamed, 2*hopelessAfter); res.failed == nil || res.text != "" {
			t.Fatalf("%+v", res)
		}
		r.empty()
	})
}

// That a frontend was away does not count against the jobs it submits later.
func TestFrontendComesBack(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		k := r.worker(1, func(ctx context.Context, a *Attempt) (Outcome, error) {
			select {
			case <-ctx.Done():
				return Outcome{}, context.Cause(ctx)
			case <-time.After(4 * tendEvery):
			}
			return Outcome{}, a.Answer([]byte("x"))
		})
		if res := collect(r.submit(cl, newJob("{}")), patience); res.text != "x" {
			t.Fatalf("%+v", res)
		}
		k.mu.Lock()
		k.links[cl.cfg.ID].gone = time.Now().Add(-2 * goneAfter)
		k.mu.Unlock()
		if res := collect(r.submit(cl, newJob("{}")), patience); res.text != "x" {
			t.Fatalf("%+v", res)
		}
	})
}
