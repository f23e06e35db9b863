package frontend

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

const (
	minReadRate = 1 << 10         // bytes/s below which a sender gets no more time
	lingerFor   = 2 * time.Second // how long a refused sender may go on sending
	stallLooks  = 8               // a blocked write is looked at this often per WriteStall
)

// endOfBody ends a chunked body.
const endOfBody = "0\r\n\r\n"

// conn is a client's connection. It gives senders and readers time as long as
// they make progress, which the HTTP server below cannot: its deadlines are for
// whole requests and answers.
//
// Read and Write belong to the connection's goroutine; cut, used and gone may be
// called from others.
type conn struct {
	net.Conn
	set     *connSet
	partial bool // a Write that timed out may be continued: not with TLS

	window   time.Duration // of the read deadline in force
	received int64         // bytes since it was set
	pushed   time.Time     // when the write deadline was set last
	linger   bool          // read on after closing, so that the refusal arrives

	finishing bool   // what is written waits for the end of the body
	held      []byte // what waits; in the memory of a segment

	promised atomic.Int64 // bytes reserved for a body that was asked for and has no handler yet

	used      atomic.Bool // a byte arrived
	answering atomic.Bool // between the arrival of a request and the end of its answer
	probe     probe       // belongs to the watcher
}

// SetReadDeadline notes the window that the server gives, for Read to renew. The
// server calls it when the answer before is out and it waits for a request.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.answering.Store(false)
	c.window, c.received = 0, 0
	if !t.IsZero() {
		c.window = time.Until(t)
	}
	return c.Conn.SetReadDeadline(t)
}

// Read renews the deadline of a sender that is slow but goes on sending.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 {
			c.received += int64(n)
			if !c.used.Load() {
				c.used.Store(true)
			}
		}
		if n > 0 || err == nil || !c.earnedTime(err) {
			return n, err
		}
	}
}

func (c *conn) earnedTime(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || c.window <= 0 {
		return false
	}
	if float64(c.received) < minReadRate*c.window.Seconds() {
		return false
	}
	c.received = 0
	return c.Conn.SetReadDeadline(time.Now().Add(c.window)) == nil
}

// renew begins the sender's time anew, when it was this side that did not read.
func (c *conn) renew() {
	c.received = 0
	_ = c.Conn.SetReadDeadline(time.Now().Add(c.window)) // it fails on a connection that is gone: so does the next Read
}

// Write writes p, or while the answer is finishing, keeps it until the end of the
// body is there, which the server below writes in parts.
func (c *conn) Write(p []byte) (int, error) {
	if !c.finishing {
		return c.write(p)
	}
	if c.held == nil {
		c.held = c.set.segment()[:0]
	}
	c.held = append(c.held, p...)
	if !bytes.HasSuffix(c.held, []byte(endOfBody)) {
		return len(p), nil
	}
	held := c.held
	c.finishing, c.held = false, nil
	_, err := c.write(held)
	if cap(held) == len(segment{}) {
		c.set.segments.Put((*segment)(held[:len(segment{})]))
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// write gives the client WriteStall to take something of what is written, then
// resets the connection. What the kernel buffers counts once the client's side
// has it: a large buffer of a slow reader frees itself in long steps.
func (c *conn) write(p []byte) (int, error) {
	stall := c.set.stall()
	now := time.Now()
	if now.Sub(c.pushed) > stall/stallLooks/2 || !c.partial {
		if err := c.push(now, stall); err != nil {
			return 0, err
		}
	}
	written, waiting, progress := 0, 0, now
	for {
		n, err := c.Conn.Write(p[written:])
		written += n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
		now = time.Now()
		left := unsent(c.Conn)
		if n > 0 || left < waiting {
			progress = now
		}
		waiting = left
		if !c.partial || now.Sub(progress) >= stall {
			c.reset()
			return written, err
		}
		if err := c.push(now, stall); err != nil {
			return written, err
		}
	}
}

// push sets the deadline to the next look at a write, or to the end of one that
// cannot be continued.
func (c *conn) push(now time.Time, stall time.Duration) error {
	c.pushed = now
	if c.partial {
		stall /= stallLooks
	}
	return c.Conn.SetWriteDeadline(now.Add(stall))
}

// reset lets Close forget what the client did not take. The kernel would keep it,
// and the connection, for as long as the client lives.
func (c *conn) reset() {
	nc := c.Conn
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if t, ok := nc.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0) // it fails on a connection that is gone anyhow
	}
}

// Close ends the connection. A sender that was refused in the middle of its
// request would lose the refusal to the reset that unread bytes cause, so what it
// still sends is read for a moment.
func (c *conn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger && half.CloseWrite() == nil {
		if c.Conn.SetReadDeadline(time.Now().Add(lingerFor)) == nil {
			_, _ = io.Copy(io.Discard, c.Conn) // the client is told already; whatever ends this is fine
		}
	}
	err := c.Conn.Close()
	c.set.bodies.give(c.promised.Swap(0))
	c.set.remove(c)
	return err
}

// cut breaks the connection under whoever uses it.
func (c *conn) cut() { _ = c.Conn.Close() }
