package jobs

import (
	"errors"
	"testing"

	"github.com/osiris/osiris/pkg/protocol"
)

func TestQueueFull(t *testing.T) {
	eachRigWith(t, Config{MaxQueued: 5}, func(t *testing.T, r *rig) {
		cl := r.client()
		var streams []*Stream
		for range 5 {
			s := r.submit(cl, newJob("{}"))
			within(t, patience, "stored", s.Stored)
			streams = append(streams, s)
		}
		res := collect(r.submit(cl, newJob("{}")), patience)
		if res.failed == nil || res.failed.Status != 503 || res.failed.RetryAfter <= 0 {
			t.Fatalf("%+v", res)
		}
		for _, s := range streams { // accepted means kept
			if _, err := s.Next(0); !errors.Is(err, ErrSilent) {
				t.Fatalf("accepted job: %v", err)
			}
		}
		r.worker(5, say("x"))
		for _, s := range streams {
			if res := collect(s, patience); res.text != "x" {
				t.Fatalf("%+v", res)
			}
		}
	})
}

func TestDepthIsAdmission(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.clientWith(ClientConfig{MaxWaiting: 3})
		var refused *protocol.Error
		within(t, patience, "refusal", func() bool {
			s, err := cl.Submit(t.Context(), newJob("{}"))
			if err == nil {
				t.Cleanup(s.Close)
				return false
			}
			return errors.As(err, &refused)
		})
		if refused.Status != 503 || refused.RetryAfter <= 0 {
			t.Fatalf("%+v", refused)
		}
	})
}
