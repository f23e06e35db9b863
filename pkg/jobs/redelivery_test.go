package jobs

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// The broker forgets who runs what when its consumer is deleted or its memory is
// lost: the job comes again as if for the first time. Where it runs already, it
// goes on.
func TestConsumerDeletedUnderARunningJob(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var runs atomic.Int32
		release := make(chan struct{})
		k := r.worker(2, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if err := a.Chunk([]byte("a")); err != nil || string(a.Job().Body) == "first" {
				return Outcome{}, err
			}
			runs.Add(1)
			select {
			case <-release:
			case <-ctx.Done():
				return Outcome{}, context.Cause(ctx)
			}
			return Outcome{}, a.Chunk([]byte("b"))
		})
		collect(r.submit(cl, newJob("first")), patience) // the next delivery has another number than the first of a new consumer
		r.empty()
		j := newJob("{}")
		s := r.submit(cl, j)
		awaitEvent(t, s, Chunk)
		ack := func() string {
			k.mu.Lock()
			a := k.byJob[j.ID]
			k.mu.Unlock()
			a.mu.Lock()
			defer a.mu.Unlock()
			return a.ack
		}
		before := ack()
		if err := r.conn.js.DeleteConsumer(t.Context(), r.conn.n.jobsStream(Interactive), r.conn.n.consumer("default")); err != nil {
			t.Fatal(err)
		}
		within(t, patience, "delivered again", func() bool { return ack() != before })
		close(release)
		if res := collect(s, patience); res.text != "b" || res.failed != nil || runs.Load() != 1 {
			t.Fatalf("%d runs, %+v", runs.Load(), res)
		}
		r.empty()
	})
}

// Frames of an attempt elsewhere never become part of a text, whatever its number.
func TestNoTextOfTwoAttempts(t *testing.T) {
	for name, number := range map[string]uint32{"same number": 1, "newer": 2} {
		t.Run(name, func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				cl := r.client()
				release := make(chan struct{})
				r.worker(1, func(ctx context.Context, a *Attempt) (Outcome, error) {
					if err := a.Chunk([]byte("a")); err != nil {
						return Outcome{}, err
					}
					<-release
					return Outcome{}, a.Chunk([]byte("b"))
				})
				s := r.submit(cl, newJob("{}"))
				awaitEvent(t, s, Chunk)
				stranger := r.conn.n.control("stranger")
				told, err := r.conn.nc.SubscribeSync(stranger)
				if err != nil {
					t.Fatal(err)
				}
				if err := r.conn.flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				b := []byte{frameVersion}
				for i, kind := range []EventKind{Started, Chunk, Chunk, Chunk, Done} {
					b = appendFrame(b, &frame{job: s.ID(), attempt: number, number: uint32(i + 1), kind: kind, data: []byte("x")})
				}
				if err := r.conn.nc.PublishRequest(r.conn.n.events(cl.cfg.ID, s.ID()), stranger, b); err != nil {
					t.Fatal(err)
				}
				if _, err := told.NextMsg(patience); err != nil {
					t.Fatalf("the other attempt was not ended: %v", err)
				}
				close(release)
				if res := collect(s, patience); res.text != "b" || res.failed != nil {
					t.Fatalf("%+v", res)
				}
			})
		})
	}
}

// A job that vanished from the queue ends with an error long before its deadline.
func TestQueueEmptied(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		s := r.submit(cl, newJob("{}"))
		within(t, patience, "stored", s.Stored)
		for range 3 {
			cl.look([]*Stream{s}, time.Now())
		}
		if _, err := s.Next(0); err == nil {
			t.Fatal("a job that waits was given up")
		}
		st, err := r.conn.js.Stream(t.Context(), r.conn.n.jobsStream(Interactive))
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(lookEvery)
		if !s.unseen(later) {
			t.Fatal("nobody would look for the job")
		}
		cl.look([]*Stream{s}, later)
		cl.look([]*Stream{s}, later)
		if res := collect(s, patience); res.failed == nil || res.failed.Status != 503 {
			t.Fatalf("%+v", res)
		}
	})
}

// Streams that somebody deleted are made again by whoever works.
func TestStreamsDeleted(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		release := make(chan struct{})
		r.worker(2, func(ctx context.Context, a *Attempt) (Outcome, error) {
			select {
			case <-release:
			case <-ctx.Done():
				return Outcome{}, context.Cause(ctx)
			}
			return Outcome{}, a.Answer([]byte("x"))
		})
		running := r.submit(cl, newJob("{}"))
		awaitEvent(t, running, Started)
		for _, name := range []string{r.conn.n.jobsStream(Interactive), r.conn.n.usageStream()} {
			if err := r.conn.js.DeleteStream(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		close(release)
		if res := collect(running, patience); res.text != "x" || res.failed != nil {
			t.Fatalf("%+v", res)
		}
		if u := r.usage(1)[0]; u.Status != StatusFinished {
			t.Fatalf("%+v", u)
		}
		if res := collect(r.submit(cl, newJob("{}")), patience); res.text != "x" || res.failed != nil {
			t.Fatalf("%+v", res)
		}
		r.empty()
	})
}
