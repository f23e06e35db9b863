package jobs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// remedyLog ends the wait when the log has said what to do.
type remedyLog struct{ said context.CancelCauseFunc }

var errSaid = errors.New("said")

func (l remedyLog) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("start it with -js")) && bytes.Contains(p, []byte("level=ERROR")) {
		l.said(errSaid)
	}
	return len(p), nil
}

// TestNoJetStream holds that a server without JetStream is not waited for in silence.
func TestNoJetStream(t *testing.T) {
	srv := startPlain(t, &server.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ctx, said := context.WithCancelCause(ctx)
	defer said(nil)
	_, err := Connect(ctx, Config{URL: srv.ClientURL(), Logger: slog.New(slog.NewTextHandler(remedyLog{said}, nil))})
	if !errors.Is(err, errSaid) || !strings.Contains(err.Error(), "start it with -js") {
		t.Errorf("error is %v", err)
	}
}
