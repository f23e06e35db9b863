package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	enabledPoll     = 250 * time.Millisecond
	enabledPatience = time.Second // a cluster that has just started may have nobody to answer yet
	enabledReminder = 30 * time.Second
)

var errNoJetStream = errors.New("the NATS server has no JetStream: start it with -js, or with jetstream {} in its configuration")

// awaitJetStream returns once somebody answers for JetStream. A server without it
// looks like one that is about to have it, so it says what is missing and waits: the
// server may be started again the right way. Only "nobody answers" is waited out here:
// what else can be wrong shows at the first stream.
func (c *Conn) awaitJetStream(ctx context.Context) error {
	began := time.Now()
	var said time.Time
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		_, err := c.js.AccountInfo(attempt)
		cancel()
		if !errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
			return nil
		}
		if now := time.Now(); now.Sub(began) >= enabledPatience && now.Sub(said) >= enabledReminder {
			said = now
			c.log.Error("waiting for a NATS with JetStream", "server", c.nc.ConnectedUrlRedacted(), "error", errNoJetStream)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), errNoJetStream)
		case <-time.After(enabledPoll):
		}
	}
}
