package http1

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

var errAborted = errors.New("exchange was aborted")

// Exchange is one request and its response. The zero value is ready for Do, once. It is
// used by one goroutine, except for Abort.
type Exchange struct {
	Status int
	// Header has, of a refusal, all that does not frame the message; of a 2xx only
	// Content-Encoding. It may be nil.
	Header http.Header

	transport *Transport
	at        place
	response  response
	begun     bool          // some of the body was read
	written   chan struct{} // closed when the goroutine that writes a large body ends; nil: there is none
	whole     atomic.Bool   // that goroutine has written all

	mu      sync.Mutex // guards all below
	conn    *conn      // nil: none yet, or no more
	dialing context.CancelFunc
	aborted bool
}

// Do sends a request and reads the response's head; the body is then read by Read.
// It blocks without limit: Abort ends it, and then the error means nothing. After an
// error there is nothing to close. ctx only gives values.
func (e *Exchange) Do(ctx context.Context, t *Transport, r *Request) error {
	e.transport, e.at = t, r.Target.place()
	if c := t.pool.take(e.at); c != nil {
		err := e.on(c, r)
		if err == nil || e.response.heard || e.gone() || isRequestError(err) {
			return err
		}
		// The server closed the connection while the request was on its way.
	}
	c, err := e.dial(ctx, r.Target)
	if err != nil {
		return err
	}
	return e.on(c, r)
}

// dial opens a connection until Abort is called.
func (e *Exchange) dial(ctx context.Context, to *Target) (*conn, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	e.mu.Lock()
	e.dialing = cancel
	aborted := e.aborted
	e.mu.Unlock()
	if aborted {
		return nil, errAborted
	}
	var c *conn
	var err error
	dialed := make(chan struct{})
	go func() { // dialing needs a deep stack, which a goroutine keeps: here, for as long as its stream lasts
		defer close(dialed)
		c, err = e.transport.dial(ctx, to)
	}()
	<-dialed
	e.mu.Lock()
	e.dialing = nil
	e.mu.Unlock()
	return c, err
}

// on makes the exchange on a connection; after an error the connection is closed.
func (e *Exchange) on(c *conn, r *Request) error {
	if !e.attach(c) {
		c.cut()
		return errAborted
	}
	e.response, e.written = response{}, nil
	e.whole.Store(false)
	e.transport.buffers.lend(&e.response.source, c.stream)
	sendErr := e.write(c, r)
	if isRequestError(sendErr) {
		e.end(false)
		return sendErr
	}
	// Also when the request could not be written: a server that refuses it may have
	// said so before it closed the connection.
	err := e.response.begin(r.Method == http.MethodHead, e.transport.cfg.MaxHeader)
	if err != nil {
		e.end(false)
		if sendErr != nil && !e.response.heard {
			return sendErr
		}
		return named("read response", noEOF(err))
	}
	if sendErr != nil {
		e.response.keep = false
	}
	e.Status, e.Header = e.response.status, e.response.header
	if e.response.err == io.EOF {
		e.end(true)
	}
	return nil
}

// Read reads the body. io.EOF is its proper end; it comes with the last bytes if it
// is known by then. Errors repeat.
func (e *Exchange) Read(p []byte) (int, error) {
	n, err := e.response.next(p)
	switch {
	case err == io.EOF:
		e.end(true)
	case n > 0 && !e.begun:
		e.begun = true
		e.flows()
	}
	return n, err
}

// flows tells the connection that the rest of the body can wait a moment for company,
// unlike its beginning, which the client waits for.
func (e *Exchange) flows() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != nil {
		e.conn.flows()
	}
}

// Rest reads what is left of the body as far as it has arrived, without waiting, and
// reports whether that was all.
func (e *Exchange) Rest() bool {
	if e.response.skip(); e.response.err == io.EOF {
		e.end(true)
	}
	return e.response.err == io.EOF
}

// Close ends the exchange: a body that was not read to its end costs the connection.
// Idempotent; it does not wait for the server.
func (e *Exchange) Close() error {
	e.end(false)
	if e.response.err == nil {
		e.response.err = errAborted
	}
	return nil
}

// Abort ends the exchange at once, whatever it waits for. Safe for concurrent use; it
// does nothing once the body was read to its end. Close is still necessary.
func (e *Exchange) Abort() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.aborted = true
	if e.conn != nil {
		e.conn.cut()
	}
	if e.dialing != nil {
		e.dialing()
	}
}

func (e *Exchange) attach(c *conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.aborted {
		e.conn = c
	}
	return !e.aborted
}

func (e *Exchange) gone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.aborted
}

// end gives the connection and the buffer back. complete says that the response was
// read to its end, so that the connection may serve another exchange.
func (e *Exchange) end(complete bool) {
	e.mu.Lock()
	c, aborted := e.conn, e.aborted
	e.conn = nil
	e.mu.Unlock()
	if c == nil {
		return
	}
	reusable := complete && !aborted && e.response.keep && len(e.response.pending()) == 0 &&
		(e.written == nil || e.whole.Load())
	if !reusable {
		c.cut()
	}
	if e.written != nil {
		<-e.written // done, or about to fail
	}
	e.transport.buffers.giveBack(&e.response.source)
	if reusable {
		e.transport.pool.put(e.at, c)
	}
}

func isRequestError(err error) bool {
	_, ok := errors.AsType[*requestError](err)
	return ok
}
