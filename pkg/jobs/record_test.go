package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// A job whose record is refused leaves the queue and stops where it runs, although it
// was published before that was known.
func TestRefusedRecordTakesItsJobAlong(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		began, stopped := make(chan struct{}, 1), make(chan error, 1)
		r.worker(1, func(ctx context.Context, _ *Attempt) (Outcome, error) {
			began <- struct{}{}
			<-ctx.Done()
			stopped <- context.Cause(ctx)
			return Outcome{}, context.Cause(ctx)
		})
		cl := r.client()
		r.limitKept(1)
		if _, err := r.conn.js.Publish(t.Context(), r.conn.n.sweep(), nil); err != nil {
			t.Fatal(err)
		}
		for name, submit := range map[string]func(j *Job) error{
			"waiting":    func(j *Job) error { _, err := cl.Submit(t.Context(), j); return err },
			"background": func(j *Job) error { return cl.SubmitBackground(t.Context(), j) },
		} {
			j := keptStreamJob()
			if err := submit(j); err == nil {
				t.Fatalf("%s: accepted", name)
			}
			select { // it may have begun before the refusal came
			case <-began:
				select {
				case <-stopped:
				case <-time.After(patience):
					t.Errorf("%s: still runs", name)
				}
			default:
			}
			if cl.Active() != 0 {
				t.Errorf("%s: still known", name)
			}
			r.empty()
		}
	})
}

// limitKept sets how many messages the stream of kept jobs takes.
func (r *rig) limitKept(messages int64) {
	r.t.Helper()
	s, err := r.conn.js.Stream(r.t.Context(), r.conn.n.keptStream())
	if err != nil {
		r.t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.MaxMsgs = messages
	if _, err := r.conn.js.UpdateStream(r.t.Context(), cfg); err != nil {
		r.t.Fatal(err)
	}
}

// A record that comes to be stored after its job was refused is removed again.
func TestRefusedWhileItsRecordIsOnItsWay(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := keptStreamJob()
		s, err := r.conn.js.Stream(t.Context(), r.conn.n.jobsStream(j.Class))
		if err != nil {
			t.Fatal(err)
		}
		cfg := s.CachedInfo().Config
		cfg.MaxMsgs = 1
		if _, err := r.conn.js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if _, err := cl.Submit(t.Context(), newJob("fills the queue")); err != nil {
			t.Fatal(err)
		}
		refused := r.submit(cl, j)
		if res := collect(refused, patience); res.failed == nil || res.failed.Status != 429 && res.failed.Status != 503 {
			t.Fatalf("told %+v", res)
		}
		within(t, patience, "no record", func() bool {
			_, err := r.conn.readRecord(t.Context(), j.Tenant, j.ID)
			return errors.Is(err, ErrNotKept)
		})
	})
}

// A word that comes too late is no answer to whoever waits next.
func TestLateWordIsForgotten(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		j := keptStreamJob()
		payload, err := encodeJob(nil, "f", j, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			err := r.conn.acks.store(gone, r.conn.recordMessage(j, payload))
			if err != nil && !errors.Is(err, context.Canceled) && !refusedAsTaken(err) {
				t.Fatal(err)
			}
			nowhere := labelled("nobody.listens.here", nil, "")
			if err := r.conn.acks.store(t.Context(), nowhere); !errors.Is(err, nats.ErrNoResponders) {
				t.Fatalf("told %v", err)
			}
		}
		r.conn.acks.mu.Lock()
		defer r.conn.acks.mu.Unlock()
		if n := len(r.conn.acks.waiting); n != 0 {
			t.Errorf("%d still waited for", n)
		}
	})
}
