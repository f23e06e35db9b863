package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	firstWait   = 250 * time.Millisecond
	longestWait = 8 * time.Second
	longestHint = time.Minute // of a server's Retry-After
)

// brokenError says that a connection could not be made, or ended too early.
type brokenError struct{ cause error }

// Error implements error.
func (e *brokenError) Error() string {
	_, told := errors.AsType[*protocol.Error](e.cause)
	if told || errors.Is(e.cause, errNotYet) { // the server said what is the matter
		return e.cause.Error()
	}
	return "the connection broke: " + e.cause.Error()
}

// Unwrap returns what broke it.
func (e *brokenError) Unwrap() error { return e.cause }

// patience says how often and how long a call is repeated.
type patience struct {
	c    *Client
	lost time.Time // when it last got nowhere; zero while all is well
	next time.Duration
}

func (c *Client) patience() *patience { return &patience{c: c} }

// alive says that the server is there: time does not run out meanwhile.
func (p *patience) alive() { p.lost = time.Time{} }

// progress begins anew: something came.
func (p *patience) progress() { p.lost, p.next = time.Time{}, 0 }

// wait returns nil when the call may be repeated after err, once it is time, and
// otherwise the error to give up with.
func (p *patience) wait(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	pause, again := p.again(err)
	if !again {
		return err
	}
	now := time.Now()
	if p.lost.IsZero() {
		p.lost = now
	}
	if gone := now.Sub(p.lost); gone+pause > p.c.cfg.Patience {
		return fmt.Errorf("%w (tried for %s)", err, gone.Round(time.Second))
	}
	if p.c.cfg.Waiting != nil {
		p.c.cfg.Waiting(err, pause)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// again says whether repeating can help, and how long to wait first.
func (p *patience) again(err error) (time.Duration, bool) {
	if p.next == 0 {
		p.next = firstWait
	}
	pause := p.next + rand.N(p.next)
	p.next = min(2*p.next, longestWait)
	if _, broken := errors.AsType[*brokenError](err); broken {
		return pause, p.c.reached.Load() || !nobodyThere(err)
	}
	e, refused := errors.AsType[*protocol.Error](err)
	if !refused || !repeatable(e) {
		return 0, false
	}
	return max(pause, e.RetryAfter), true
}

// nobodyThere reports whether an address leads nowhere. Of a server that never answered
// that is more likely a mistake than an outage.
func nobodyThere(err error) bool {
	unknown, isDNS := errors.AsType[*net.DNSError](err)
	return errors.Is(err, syscall.ECONNREFUSED) || isDNS && unknown.IsNotFound
}

func repeatable(e *protocol.Error) bool {
	switch {
	case e.NoRetry:
		return false
	case e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooManyRequests:
		return e.Code != "insufficient_quota"
	}
	return e.Status >= http.StatusInternalServerError && e.Status != http.StatusNotImplemented
}

// retryAfter reads how long the server wants to be left alone.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return min(time.Duration(ms*float64(time.Millisecond)), longestHint)
	}
	text := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(text, 64); err == nil && s > 0 {
		return min(time.Duration(s*float64(time.Second)), longestHint)
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return min(at.Sub(now), longestHint)
	}
	return 0
}
