package jobs

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

func TestCancel(t *testing.T) {
	for name, leaveAt := range map[string]func(t *testing.T, r *rig, s *Stream, start func()){
		"before the ack": func(*testing.T, *rig, *Stream, func()) {},
		"queued": func(t *testing.T, _ *rig, s *Stream, _ func()) {
			within(t, patience, "stored", s.Stored)
		},
		"before the first token": func(t *testing.T, _ *rig, s *Stream, start func()) {
			start()
			awaitEvent(t, s, Started)
		},
		"mid-stream": func(t *testing.T, _ *rig, s *Stream, start func()) {
			start()
			awaitEvent(t, s, Chunk)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				cl := r.client()
				var h hold
				start := func() {
					r.worker(2, func(ctx context.Context, a *Attempt) (Outcome, error) {
						if name == "mid-stream" {
							if err := a.Chunk([]byte("data: x\n\n")); err != nil {
								return Outcome{}, err
							}
						}
						return h.run(ctx, a)
					})
				}
				s := r.submit(cl, newJob("{}"))
				leaveAt(t, r, s, start)
				s.Close()
				if _, err := s.Next(time.Second); !errors.Is(err, ErrClosed) {
					t.Fatalf("after close: %v", err)
				}
				r.empty()
				within(t, promised, "worker stopped", func() bool { return h.running.Load() == 0 })
				within(t, promised, "client forgot the job", func() bool { return cl.Active() == 0 })
				if h.ended.Load() > 0 {
					if u := r.usage(1)[0]; u.Status != StatusCancelled || u.Usage.PromptTokens != 7 {
						t.Fatalf("usage %+v", u)
					}
				}
			})
		})
	}
}

func awaitEvent(t *testing.T, s *Stream, kind EventKind) {
	t.Helper()
	for {
		e, err := s.Next(patience)
		if err != nil {
			t.Fatalf("waiting for event %d: %v", kind, err)
		}
		if e.Kind == kind {
			return
		}
	}
}

func TestCancelOvertakesJob(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			if a.Job().Model == "cancelled" {
				t.Error("the cancelled job was run")
			}
			return Outcome{}, a.Answer([]byte("x"))
		})
		j := newJob("{}")
		j.Model = "cancelled"
		cancel := appendFrame([]byte{frameVersion}, &frame{job: j.ID, kind: ctlCancel})
		if err := r.conn.nc.Publish(r.conn.n.cancel(), cancel); err != nil {
			t.Fatal(err)
		}
		if err := r.conn.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if res := collect(r.submit(cl, newJob("{}")), patience); res.text != "x" { // the worker has seen the message
			t.Fatalf("%+v", res)
		}
		r.submit(cl, j)
		r.empty()
	})
}

func TestStreamsEndWithTheClient(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
		cl := r.client()
		s := r.submit(cl, newJob("{}"))
		within(t, patience, "stored", s.Stored)
		ended := make(chan error, 1)
		go func() {
			_, err := s.Next(time.Minute)
			ended <- err
		}()
		cl.Close()
		if err := <-ended; !errors.Is(err, ErrClosed) && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		r.empty()
	})
}

func TestTakeOutWhatIsGone(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.client()
		j := keptStreamJob()
		subject := r.conn.n.job(j.Class, j.Pool, j.Tenant, j.ID)
		r.enqueue(j)
		m, err := r.conn.leaderGet(t.Context(), r.conn.n.jobsStream(j.Class), question{LastFor: subject})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := r.conn.deleteJob(t.Context(), j.Class, m.Seq); err != nil {
				t.Fatal(err)
			}
			if err := r.conn.takeOut(t.Context(), j.Class, subject); err != nil {
				t.Fatal(err)
			}
		}
	})
}
