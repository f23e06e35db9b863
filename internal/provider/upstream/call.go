package upstream

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream/http1"
)

// Call is an answer that is being received. It is used by one goroutine.
type Call struct {
	Status int
	Header http.Header // of a refusal all of it, of a 2xx at least Content-Encoding; may be nil

	client  *Client
	parent  context.Context // the caller's
	watch   watch
	body    io.ReadCloser // &exchange, or net/http's
	inflate io.Reader     // over body if it is compressed
	request Request       // its secrets must not come back in a message
	detach  func() bool   // ends the wait for the caller's context
	left    int64         // bytes the answer may still have

	waits   func() error // the request's Waits; nil of a refusal
	stopped error        // what it returned

	payload bool // something counted as an answer
	paused  bool // the phase's clock stands still
	atEnd   bool // the body has ended
	closed  bool

	exchange http1.Exchange // unused if the call goes through net/http

	mu     sync.Mutex         // guards all below
	cancel context.CancelFunc // ends a call through net/http
	over   bool               // cut was called
}

// Read reads the answer's body, inflated. Its error is io.EOF, context.Cause of
// the caller's context, that of the request's Waits, or a *provider.Error. It restarts the idle clock that
// Payload stopped.
func (c *Call) Read(p []byte) (int, error) {
	if c.atEnd {
		return 0, io.EOF
	}
	if c.waits != nil {
		if c.stopped = c.waits(); c.stopped != nil {
			return 0, c.stopped
		}
	}
	if c.paused {
		c.paused = false
		c.watch.resume()
	}
	if c.left <= 0 {
		return 0, c.rubbish(errTooLarge)
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.reader().Read(p)
	c.left -= int64(n)
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		c.atEnd = true
		c.exchange.Rest() // behind the end of what was compressed
		return n, io.EOF
	}
	return n, c.fail(err, c.broken)
}

func (c *Call) reader() io.Reader {
	if c.inflate != nil {
		return c.inflate
	}
	return c.body
}

// Payload tells that part of an answer came: the phase ends, and the idle clock
// stands still until the next Read.
func (c *Call) Payload() {
	c.payload = true
	c.heard()
}

// Hurry lowers the idle limit to d from the next Payload on: all that matters came.
func (c *Call) Hurry(d time.Duration) { c.watch.hurry(d) }

// ReadAll reads the body to its end and appends it to dst. Each piece restarts the
// idle clock, but counts as no answer: the caller has nothing before the end.
func (c *Call) ReadAll(dst []byte) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, 512)
		}
		n, err := c.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
		c.heard()
	}
}

// heard stops the phase's clock until the next Read.
func (c *Call) heard() {
	if !c.paused {
		c.paused = true
		c.watch.pause()
	}
}

// Fail turns an error met while reading the answer into one that Complete may
// return: the caller's cancellation, a reached limit, a broken connection. An error
// that is a *provider.Error already stays as it is, any other means that the
// server's answer made no sense.
func (c *Call) Fail(err error) error { return c.fail(err, c.rubbish) }

// EndedEarly is the error for an answer that ended before it was complete.
func (c *Call) EndedEarly() error {
	return c.fail(io.ErrUnexpectedEOF, c.broken)
}

// Close ends the call. A short rest of the answer is read in the background so that
// the connection can be used again; otherwise it is closed. Idempotent.
func (c *Call) Close() {
	if c.closed {
		return
	}
	c.closed = true
	c.atEnd = c.atEnd || c.exchange.Rest()
	if c.atEnd || !c.payload || !c.detach() || c.watch.reason() != nil {
		c.hangUp()
		return
	}
	c.watch.limit(drainTime)
	c.client.drains.Go(func() {
		_, err := io.CopyN(io.Discard, c.body, maxDrain)
		c.atEnd = err == io.EOF
		c.hangUp()
	})
}

// Abort closes the connection at once: nothing more of the answer is wanted.
func (c *Call) Abort() {
	if !c.closed {
		c.closed = true
		c.hangUp()
	}
}

// hangUp closes the connection, unless the answer was read to its end.
func (c *Call) hangUp() {
	if !c.atEnd {
		c.release() // first: closing a body that has not ended may wait for it
	}
	_ = c.body.Close()
	c.release()
}

// release ends what watches the call, and the call itself unless it was read to its end.
func (c *Call) release() {
	c.detach()
	c.watch.stop()
}

// cut closes the connection, whatever the call waits for. Safe for concurrent use.
func (c *Call) cut() {
	c.exchange.Abort()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}

// cutBy makes cut call cancel, at once if cut was called already.
func (c *Call) cutBy(cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel = cancel; c.over {
		cancel()
	}
}

// setEncoding prepares for a server that compresses although it was asked not to.
func (c *Call) setEncoding() {
	switch enc := strings.ToLower(strings.TrimSpace(c.Header.Get("Content-Encoding"))); enc {
	case "", "identity":
	case "gzip", "x-gzip":
		c.inflate = &gzipReader{src: c.body}
	default:
		c.inflate = failingReader{fmt.Errorf("content encoding %q is not understood", enc)}
	}
}

// gzipReader opens the gzip header at the first read, where blocking is expected.
type gzipReader struct {
	src io.Reader
	zr  *gzip.Reader
}

func (g *gzipReader) Read(p []byte) (int, error) {
	if g.zr == nil {
		zr, err := gzip.NewReader(g.src)
		if err != nil {
			if err == io.EOF {
				return 0, io.EOF
			}
			return 0, fmt.Errorf("inflate: %w", err)
		}
		g.zr = zr
	}
	n, err := g.zr.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("inflate: %w", err)
	}
	return n, err
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// fail finds out why a call broke: the caller, a limit, else what other makes of err.
func (c *Call) fail(err error, other func(error) error) error {
	if c.stopped != nil {
		return c.stopped
	}
	if c.parent.Err() != nil {
		return context.Cause(c.parent)
	}
	if reason := c.watch.reason(); reason != nil {
		return TimedOut(reason, c.payload)
	}
	if pe, ok := errors.AsType[*provider.Error](err); ok {
		return pe
	}
	return other(err)
}
