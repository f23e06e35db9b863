package jobs

import (
	"context"
	"testing"
	"time"
)

// An attempt whose end nobody hears stays until it was told for long enough over a
// connection that was there, and no longer; one that nobody wants to hear of goes
// at once.
func TestEndIsToldForAWhile(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		ended           time.Duration
		heard, insisted bool
		stays           bool
	}{
		"just ended":           {ended: time.Second, insisted: true, stays: true},
		"ended in an outage":   {ended: 2 * insistFor, insisted: false, stays: true},
		"told for long enough": {ended: 2 * insistFor, insisted: true},
		"frontend gone":        {ended: time.Second, heard: true},
	} {
		t.Run(name, func(t *testing.T) {
			out := newOutbox(func(string, []byte) error { return nil }, "many", maxWindow)
			k := &Consumer{attempts: map[string]*Attempt{}, byJob: map[ID]*Attempt{}}
			a := &Attempt{k: k, job: newJob("{}"), link: &link{out: out}, number: 1, ended: now.Add(-c.ended), heard: c.heard}
			a.ctx, a.cancel = context.WithCancelCause(t.Context())
			k.attempts[a.key()], k.byJob[a.job.ID] = a, a
			k.care(a, now, false, c.insisted)
			if stays := len(k.attempts)+len(k.byJob) > 0; stays != c.stays {
				t.Fatalf("stays: %t", stays)
			}
		})
	}
}
