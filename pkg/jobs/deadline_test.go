package jobs

import (
	"context"
	"testing"
	"time"
)

func TestDeadlineInTheQueue(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := newJob("{}")
		j.Timeout = 300 * time.Millisecond
		s := r.submit(cl, j)
		within(t, 5*time.Second, "stored", s.Stored)
		<-time.After(400 * time.Millisecond)
		r.worker(1, func(context.Context, *Attempt) (Outcome, error) {
			t.Error("a job past its deadline was started")
			return Outcome{}, nil
		})
		if res := collect(s, 5*time.Second); res.failed == nil || res.failed.Status != 504 {
			t.Fatalf("%+v", res)
		}
		r.empty()
	})
}

func TestDeadlineWhileRunning(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var h hold
		r.worker(1, h.run)
		j := newJob("{}")
		j.Timeout = 500 * time.Millisecond
		if res := collect(r.submit(cl, j), 5*time.Second); res.failed == nil || res.failed.Status != 504 {
			t.Fatalf("%+v", res)
		}
		if u := r.usage(1)[0]; u.Status != StatusFailed || u.Usage.PromptTokens != 7 {
			t.Fatalf("usage %+v", u)
		}
		r.empty()
	})
}
