package echo

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/providertest"
	"github.com/osiris/osiris/internal/provider/upstream"
)

func TestTime(t *testing.T) {
	for _, stream := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			if _, err := ask(t.Context(), t, "echo?first=2s&delay=20ms", hello, stream); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took != 2*time.Second+3*20*time.Millisecond {
				t.Errorf("stream %v: took %s", stream, took)
			}
		})
	}
}

// The limits of a call hold for echo as for any server.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		model  string
		stream bool
		limits provider.Limits
		phase  upstream.Phase
		took   time.Duration
	}{
		{"echo?first=1h", true, provider.Limits{FirstToken: time.Second, Idle: time.Minute}, upstream.PhaseFirstToken, time.Second},
		{"echo?delay=1h", true, provider.Limits{FirstToken: time.Minute, Idle: time.Second}, upstream.PhaseIdle, time.Second},
		{"echo?error=hang&after=2", true, provider.Limits{Idle: time.Second, Total: time.Minute}, upstream.PhaseIdle, time.Second},
		{"echo?error=hang", false, provider.Limits{FirstToken: time.Second, Total: time.Minute}, upstream.PhaseTotal, time.Minute},
		{"echo?error=hang", false, provider.Limits{FirstToken: time.Second}, upstream.PhaseFirstToken, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			req := request(t, c.model, `{"model":"echo",`+hello+`}`, c.stream)
			req.Limits = c.limits
			err := New().Complete(t.Context(), req, &providertest.Recorder{})
			e, ok := errors.AsType[*upstream.TimeoutError](err)
			if !ok || e.Phase != c.phase || time.Since(begin) != c.took {
				t.Errorf("%s: got %v after %s, want the limit of %q after %s", c.model, err, time.Since(begin), c.phase, c.took)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	why := errors.New("client left")
	for _, model := range []string{"echo?first=1h", "echo?delay=1h", "echo?error=hang&after=1"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(why) })
			if _, err := ask(ctx, t, model, hello, true); err != why {
				t.Errorf("%s: got %v", model, err)
			}
		})
	}
}
