package jobs

import (
	"errors"
	"testing"
)

// A kept job is cancelled in every phase: whoever reads it is told, nothing runs on,
// and what is stored stays.
func TestCancelKept(t *testing.T) {
	for name, phase := range map[string]func(t *testing.T, r *rig, s *Stream, h *hold){
		"just submitted": func(*testing.T, *rig, *Stream, *hold) {},
		"queued":         func(t *testing.T, _ *rig, s *Stream, _ *hold) { within(t, patience, "stored", s.Stored) },
		"before the first token": func(t *testing.T, r *rig, s *Stream, h *hold) {
			r.worker(1, h.run)
			awaitEvent(t, s, Started)
		},
		"mid-stream": func(t *testing.T, r *rig, s *Stream, h *hold) { r.begin(t, s, h) },
	} {
		t.Run(name, func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				cl, other := r.client(), r.client()
				var h hold
				j := keptStreamJob()
				s := r.submit(cl, j)
				p := r.follow(other, j, 0)
				phase(t, r, s, &h)
				k, err := other.CancelKept(t.Context(), j.Tenant, j.ID)
				if err != nil || k.Status != KeptCancelled || k.Result == nil {
					t.Fatalf("%+v, %v", k, err)
				}
				if res := collect(s, patience); res.failed == nil || res.failed.Code != "cancelled" {
					t.Errorf("the client was told %+v", res)
				}
				if res := gather(p, patience); res.failed == nil || res.failed.Code != "cancelled" {
					t.Errorf("another reader was told %+v", res)
				}
				r.empty()
				within(t, patience, "worker stopped", func() bool { return h.running.Load() == 0 })
				if k, err := cl.CancelKept(t.Context(), j.Tenant, j.ID); err != nil || k.Status != KeptCancelled {
					t.Errorf("again: %+v, %v", k, err)
				}
				if k := r.kept(cl, j); k.Status != KeptCancelled {
					t.Errorf("read: %+v", k)
				}
			})
		})
	}
}

// begin starts a worker that says one word and holds, and waits until it has.
func (r *rig) begin(t *testing.T, s *Stream, h *hold) {
	t.Helper()
	r.worker(1, r.wordAndHold(h))
	awaitEvent(t, s, Chunk)
}

func TestCancelKeptThatEnded(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.worker(1, sayWords(3, -1, nil))
		j := keptStreamJob()
		collect(r.submit(cl, j), patience)
		k, err := cl.CancelKept(t.Context(), j.Tenant, j.ID)
		if err != nil || k.Status != KeptCompleted || len(k.Result.Body) == 0 {
			t.Fatalf("%+v, %v", k, err)
		}
	})
}

// A background job that is cancelled tells webhooks so, once.
func TestCancelTellsWebhooks(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := keptStreamJob()
		j.Keep.Background, j.Class = true, Background
		if err := cl.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := cl.CancelKept(t.Context(), j.Tenant, j.ID); err != nil {
				t.Fatal(err)
			}
		}
		info, err := r.conn.subjects(t.Context(), r.conn.n.noticesStream(), r.conn.n.noticesFilter(), 0)
		if err != nil || len(info.State.Subjects) != 1 {
			t.Errorf("%v, %v", info, err)
		}
	})
}

// A job deleted while it runs is gone for good: its worker is stopped, its readers
// are told, and nothing it does brings it back.
func TestDeleteKeptWhileItRuns(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl, other := r.client(), r.client()
		var h hold
		j := keptStreamJob()
		s := r.submit(cl, j)
		p := r.follow(other, j, 0)
		r.begin(t, s, &h)
		if err := other.DeleteKept(t.Context(), j.Tenant, j.ID); err != nil {
			t.Fatal(err)
		}
		if res := collect(s, patience); res.failed == nil {
			t.Errorf("the client was told %+v", res)
		}
		if res := gather(p, patience); res.failed == nil {
			t.Errorf("another reader was told %+v", res)
		}
		r.empty()
		within(t, patience, "worker stopped", func() bool { return h.running.Load() == 0 })
		for _, err := range []error{
			second(cl.Kept(t.Context(), j.Tenant, j.ID, KeptOptions{Hidden: true})),
			second(cl.CancelKept(t.Context(), j.Tenant, j.ID)),
			second(cl.Follow(t.Context(), j.Tenant, j.ID, 0)),
			second(cl.SetMetadata(t.Context(), j.Tenant, j.ID, nil)),
			cl.DeleteKept(t.Context(), j.Tenant, j.ID),
		} {
			if !errors.Is(err, ErrNotKept) {
				t.Errorf("after it: %v", err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }
