package worker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

func TestWatchdog(t *testing.T) {
	cause := errors.New("client left")
	for name, test := range map[string]struct {
		cancelled bool
		late      bool
	}{
		"ends by itself":    {false, false},
		"ends when told to": {true, false},
		"does not end":      {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				ctx, cancel := context.WithCancelCause(t.Context())
				done := watch(ctx, func() *slog.Logger { return logTo(&log) })
				if test.cancelled {
					cancel(cause)
				}
				if test.late {
					pass(stuckAfter)
					synctest.Wait()
				}
				done()
				cancel(nil)
				pass(2 * stuckAfter)
				synctest.Wait()
				if got := strings.Count(log.String(), "does not stop"); got != 0 != test.late || got > 1 {
					t.Errorf("%d reports: %s", got, log.String())
				}
				if test.late && !strings.Contains(log.String(), cause.Error()) {
					t.Errorf("no cause in %s", log.String())
				}
			})
		})
	}
}
