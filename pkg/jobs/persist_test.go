package jobs

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A write to a server without room ends after a while; one that finds room in time
// goes through, and a server that is away is waited for.
func TestWriteWithoutRoom(t *testing.T) {
	full := &jetstream.APIError{Code: 503, ErrorCode: codeInsufficient, Description: "insufficient resources"}
	for name, c := range map[string]struct {
		fault error
		lasts time.Duration
		fails bool
	}{
		"full":      {full, time.Hour, true},
		"full soon": {full, roomWait / 2, false},
		"away":      {context.DeadlineExceeded, 10 * roomWait, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &Conn{log: slog.New(slog.DiscardHandler)}
				began := time.Now()
				err := conn.persistWrite(t.Context(), "store", func(context.Context) error {
					if time.Since(began) < c.lasts {
						return c.fault
					}
					return nil
				})
				took := time.Since(began)
				if c.fails != (err != nil) || err != nil && !errors.Is(err, full) || took > min(c.lasts, 2*roomWait)+10*roomWait {
					t.Errorf("%v after %s", err, took)
				}
				if c.fails && took > roomWait+3*time.Second {
					t.Errorf("held for %s", took)
				}
			})
		})
	}
}
