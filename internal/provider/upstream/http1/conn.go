package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"
)

// ErrOtherProtocol is for a server that takes part in TLS but not in HTTP/1.1.
var ErrOtherProtocol = errors.New("server does not speak HTTP/1.1")

// conn is a connection. It is used by one exchange at a time, except for cut.
type conn struct {
	stream net.Conn // what is spoken on: raw, or TLS over it
	raw    net.Conn
	since  time.Time // when it became idle

	// For stale; made once so that asking costs no allocation.
	system syscall.RawConn // nil: cannot be asked
	ask    func(fd uintptr) bool
	peek   [1]byte
	silent bool
}

func newConn(raw, stream net.Conn) *conn {
	c := &conn{stream: stream, raw: raw}
	if s, ok := raw.(syscall.Conn); ok {
		if system, err := s.SyscallConn(); err == nil {
			c.system = system
			c.ask = func(fd uintptr) bool {
				c.silent = nothingArrived(fd, c.peek[:])
				return true
			}
		}
	}
	return c
}

// stale reports whether an idle connection cannot be used again: it was closed, or
// the server said something that nobody asked for. It never waits.
func (c *conn) stale() bool {
	if s, ok := c.raw.(interface{ Stale() bool }); ok {
		return s.Stale()
	}
	if c.system == nil {
		return false
	}
	c.silent = false
	return c.system.Read(c.ask) != nil || !c.silent
}

// flows says that what comes until the next request is a stream.
func (c *conn) flows() {
	if s, ok := c.raw.(interface{ Streams() }); ok {
		s.Streams()
	}
}

// cut closes the connection under whatever is going on. Safe for concurrent use.
func (c *conn) cut() {
	_ = c.raw.Close() // not the TLS connection: its farewell may wait
}

// dial opens a connection to a target, until ctx ends.
func (t *Transport) dial(ctx context.Context, to *Target) (*conn, error) {
	raw, err := t.cfg.Dial(ctx, "tcp", to.address)
	if err != nil {
		return nil, err // it names the operation and the address
	}
	raw = t.gatherer.Conn(raw)
	if !to.tls {
		return newConn(raw, raw), nil
	}
	cfg := t.tls
	if cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName = to.name
	}
	stream := tls.Client(raw, cfg)
	if err := stream.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		if noCommonProtocol(err) {
			return nil, ErrOtherProtocol
		}
		return nil, named("tls handshake", err)
	}
	return newConn(raw, stream), nil
}

// noCommonProtocol recognises the alert no_application_protocol, which crypto/tls
// gives no type of its own.
func noCommonProtocol(err error) bool {
	remote, ok := errors.AsType[*net.OpError](err)
	return ok && remote.Op == "remote error" && remote.Err.Error() == tls.AlertError(120).Error()
}
