package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Error codes of JetStream's API that nats.go has no name for.
const (
	codeNoPeers           jetstream.ErrorCode = 10005 // fewer servers than copies asked for, or some are away
	codeInsufficient      jetstream.ErrorCode = 10023
	codeStorageExceeded   jetstream.ErrorCode = 10047 // the limits of all streams together exceed the server's
	codeStoreFailed       jetstream.ErrorCode = 10049 // creating a stream raced with the deletion of the last other one
	codeReplicasNoneHere  jetstream.ErrorCode = 10074 // more than one copy without a cluster
	codeStreamFull        jetstream.ErrorCode = 10077 // maximum messages or bytes, per stream or subject
	codeSameIDInFlight    jetstream.ErrorCode = 10158 // a cluster is storing a message of the same id
	codeWrongLastSequence jetstream.ErrorCode = 10164 // as 10071, where another write of the subject is under way
)

// errRace says that another process wrote at the same moment: look again.
var errRace = errors.New("written by another process at the same moment")

// attemptTimeout bounds one question to JetStream. While a cluster elects a leader
// nobody answers, so waiting longer for the same question gains nothing.
const attemptTimeout = 3 * time.Second

// persist calls f until it succeeds, fails for good or ctx ends, with a context that
// bounds one attempt. what names the operation in the log, where a lasting fault shows
// up every ten seconds.
func (c *Conn) persist(ctx context.Context, what string, f func(ctx context.Context) error) error {
	return c.insist(ctx, what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		return f(ctx)
	})
}

// insist is persist with an f that bounds its attempts itself.
func (c *Conn) insist(ctx context.Context, what string, f func(ctx context.Context) error) error {
	wait, logged := 50*time.Millisecond, time.Time{}
	for {
		err := f(ctx)
		if err == nil || !transient(err) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		if time.Since(logged) > 10*time.Second && wait > 200*time.Millisecond {
			logged = time.Now()
			c.log.Warn("jetstream refuses for now, trying on", "operation", what, "error", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(wait + rand.N(wait)):
		}
		wait = min(2*wait, time.Second)
	}
}

// roomWait is how long a write is tried on a server that has no room for it.
const roomWait = 10 * time.Second

// persistWrite is insist for what a server needs room for: one that has none, as with
// a full disk, is an error after a while, which the log shows. What is written may be
// all that keeps a worker's slot.
func (c *Conn) persistWrite(ctx context.Context, what string, f func(ctx context.Context) error) error {
	var full time.Time
	var refused error
	err := c.insist(ctx, what, func(ctx context.Context) error {
		err := f(ctx)
		if !hasCode(err, codeInsufficient) {
			full = time.Time{}
			return err
		}
		if full.IsZero() {
			full = time.Now()
		}
		if time.Since(full) < roomWait {
			return err
		}
		refused = err
		return nil
	})
	if refused != nil {
		c.log.Error("server has no room", "operation", what, "error", refused)
		return refused
	}
	return err
}

// transient reports whether asking again can help: the connection or a leader is
// away, peers are still arriving, or another process was in the middle of the same.
func transient(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount,
			codeStreamFull, codeStorageExceeded:
			return false
		case codeNoPeers, codeInsufficient, codeStoreFailed, codeSameIDInFlight, jetstream.JSErrCodeStreamNameInUse, jetstream.JSErrCodeStreamNotFound,
			jetstream.JSErrCodeConsumerExists, jetstream.JSErrCodeConsumerNameExists, jetstream.JSErrCodeConsumerAlreadyExists:
			return true
		}
		return api.Code == http.StatusServiceUnavailable || api.Code == http.StatusRequestTimeout
	}
	if _, ok := errors.AsType[*net.OpError](err); ok { // the connection broke, and the library does not know yet
		return true
	}
	return errors.Is(err, errRace) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) ||
		errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrReconnectBufExceeded) ||
		errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, jetstream.ErrBucketNotFound)
}

func hasCode(err error, code jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == code
}
