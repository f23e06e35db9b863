package jobs

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
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
			a := &Attempt{k: k, job: newJob("{}"), name: "a", link: &link{out: out}, number: 1, ended: now.Add(-c.ended), heard: c.heard}
			a.ctx, a.cancel = context.WithCancelCause(t.Context())
			k.attempts[a.name], k.byJob[a.job.ID] = a, a
			k.care(a, now, false, c.insisted)
			if stays := len(k.attempts)+len(k.byJob) > 0; stays != c.stays {
				t.Fatalf("stays: %t", stays)
			}
		})
	}
}

// A handler that goes on after its context ended is reported, once, with the cause.
func TestHandlerThatOverstaysIsReported(t *testing.T) {
	for name, c := range map[string]struct{ cut, returns, reported bool }{
		"runs":              {},
		"ends when told to": {cut: true, returns: true},
		"does not end":      {cut: true, reported: true},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			out := newOutbox(func(string, []byte) error { return nil }, "many", maxWindow)
			k := &Consumer{log: slog.New(slog.NewTextHandler(&log, nil))}
			a := &Attempt{k: k, job: newJob("{}"), link: &link{out: out}, number: 1}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			a.handled(ctx)
			if c.cut {
				cancel(ErrCancelled)
			}
			now := time.Now()
			for i := range 4 {
				a.sent = now
				k.care(a, now, false, true)
				if log.Len() > 0 && now.Sub(a.cut) < stuckAfter {
					t.Errorf("after %s: %s", now.Sub(a.cut), log.String())
				}
				if i == 1 && c.returns {
					a.returned()
				}
				now = now.Add(stuckAfter * 2 / 3)
			}
			if got := strings.Count(log.String(), "does not stop"); got != 0 != c.reported || got > 1 {
				t.Errorf("%d reports: %s", got, log.String())
			}
			if c.reported && !strings.Contains(log.String(), ErrCancelled.Error()) {
				t.Errorf("no cause in %s", log.String())
			}
		})
	}
}
