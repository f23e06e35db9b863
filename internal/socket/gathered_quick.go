//go:build linux && !race

package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

var errNoDeadline = errors.New("connection has no deadlines")

// gathered is a connection of a Gatherer.
type gathered struct {
	g             *Gatherer
	fd            int
	local, remote net.Addr

	// Held during system calls, which do not block, so that the descriptor stays ours.
	mu            sync.Mutex
	closed        bool
	over          bool // the other side has said all, or the connection failed: reads never wait
	in, out       readiness
	prompt, paced *poller
	at            *poller // the one that has the socket
	begun         bool    // an answer has: the socket belongs into paced, as soon as somebody waits
}

// readiness is what is known of one direction.
type readiness struct {
	spent bool          // the last call took all there was, and nothing was told since
	waits bool          // somebody waits for wake
	wake  chan struct{} // holds one
}

// told notes that there is news. The connection's lock is held.
func (r *readiness) told() {
	r.spent = false
	if r.waits {
		r.waits = false
		r.wake <- struct{}{}
	}
}

func newGathered(g *Gatherer, t *net.TCPConn, fd int) *gathered {
	c := &gathered{g: g, fd: fd, local: t.LocalAddr(), remote: t.RemoteAddr()}
	c.in.wake, c.out.wake = make(chan struct{}, 1), make(chan struct{}, 1)
	return c
}

// told takes what the poller found.
func (c *gathered) told(events uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if events&(incoming&^syscall.EPOLLIN) != 0 {
		c.over = true
	}
	if events&incoming != 0 {
		c.in.told()
	}
	if events&outgoing != 0 {
		c.out.told()
	}
}

// Read implements net.Conn. One that found less than there was room for has taken
// all: the next waits without asking.
func (c *gathered) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(len(p), mostAtOnce)]
	for {
		n, wait, err := c.read(p)
		switch wait {
		case waitNot:
			return n, err
		case waitPrompt:
			<-c.in.wake
		case waitPaced:
			c.g.waiting.Add(1)
			<-c.in.wake
			c.g.waiting.Add(-1)
		}
	}
}

// waiting is where a reader waits that found nothing.
type waiting uint8

const (
	waitNot waiting = iota
	waitPrompt
	waitPaced
)

// read reads once. Unless it found nothing, wait is waitNot; else c.in.wake tells when to
// try again.
func (c *gathered) read(p []byte) (n int, wait waiting, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && !c.in.spent {
		n, errno := call(syscall.SYS_READ, uintptr(c.fd), p)
		switch errno {
		case 0:
			c.in.spent = n < len(p) && !c.over
			if n == 0 {
				c.in.spent = false
				return 0, waitNot, io.EOF
			}
			return n, waitNot, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			c.in.spent = true
		default:
			return 0, waitNot, c.named("read", os.NewSyscallError("read", errno))
		}
	}
	if c.closed {
		return 0, waitNot, c.named("read", net.ErrClosed)
	}
	if c.begun {
		if err := c.move(c.paced); err != nil {
			return 0, waitNot, c.named("read", err)
		}
	}
	c.in.waits = true
	if c.at == c.paced {
		return 0, waitPaced, nil
	}
	return 0, waitPrompt, nil
}

// move has another poller watch the socket, which tells of what arrived meanwhile. The
// lock is held.
func (c *gathered) move(to *poller) error {
	if c.at == to {
		return nil
	}
	if err := c.at.forget(c.fd); err != nil {
		return err
	}
	c.at = to
	if err := to.watch(c.fd); err != nil || !c.out.waits {
		return err
	}
	return to.watchRoom(c.fd)
}

// Streams says that an answer has begun, which goes on until the next Write.
func (c *gathered) Streams() {
	c.mu.Lock()
	c.begun = true
	c.mu.Unlock()
}

// Write implements net.Conn.
func (c *gathered) Write(p []byte) (n int, err error) {
	for n < len(p) || len(p) == 0 {
		m, again, err := c.write(p[n:min(len(p), n+mostAtOnce)])
		n += m
		if err != nil || len(p) == 0 {
			return n, err
		}
		if again {
			<-c.out.wake
		}
	}
	return n, nil
}

// write writes once; again: there was no room, and c.out.wake tells when to try again.
func (c *gathered) write(p []byte) (n int, again bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.spent = false // room is asked for, not remembered
	if c.g.Prompt && c.at == c.paced && !c.closed && c.g.waiting.Load() <= mostPrompt {
		c.begun = false
		if err := c.move(c.prompt); err != nil {
			return 0, false, c.named("write", err)
		}
	}
	for !c.closed && !c.out.spent {
		if len(p) == 0 {
			return 0, false, nil
		}
		n, errno := call(syscall.SYS_WRITE, uintptr(c.fd), p)
		switch errno {
		case 0:
			return n, false, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			c.out.spent = true
		default:
			return 0, false, c.named("write", os.NewSyscallError("write", errno))
		}
	}
	if c.closed {
		return 0, false, c.named("write", net.ErrClosed)
	}
	if err := c.at.watchRoom(c.fd); err != nil {
		return 0, false, c.named("write", err)
	}
	c.out.waits = true
	return 0, true, nil
}

// Close implements net.Conn. Whoever waits in Read or Write returns.
func (c *gathered) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.named("close", net.ErrClosed)
	}
	c.closed = true
	c.in.told()
	c.out.told()
	c.mu.Unlock()
	c.g.remove(c)
	if err := syscall.Close(c.fd); err != nil {
		return c.named("close", os.NewSyscallError("close", err))
	}
	return nil
}

// named makes of an error what package net would have returned.
func (c *gathered) named(op string, err error) error {
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// LocalAddr, RemoteAddr and the deadlines implement net.Conn.
func (c *gathered) LocalAddr() net.Addr              { return c.local }
func (c *gathered) RemoteAddr() net.Addr             { return c.remote }
func (c *gathered) SetDeadline(time.Time) error      { return errNoDeadline }
func (c *gathered) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (c *gathered) SetWriteDeadline(time.Time) error { return errNoDeadline }

// Stale reports whether the connection was closed by the other side, or has said
// something that was not read. It does not wait.
func (c *gathered) Stale() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return true
	}
	var one [1]byte
	_, errno := call(syscall.SYS_READ, uintptr(c.fd), one[:])
	return errno != syscall.EAGAIN && errno != syscall.EINTR
}
