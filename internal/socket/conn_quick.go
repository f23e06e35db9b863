//go:build linux && !race

package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// mostAtOnce is how much is copied in one call that the scheduler is not told of,
// a few microseconds' worth.
const mostAtOnce = 16 << 10

// Quick returns a TCP or Unix connection that costs less, or c itself if it is another
// kind. It has all methods of c, but is read by one goroutine at a time, and written by one.
func Quick(c net.Conn) net.Conn {
	switch c := c.(type) {
	case *net.TCPConn:
		if q := (&tcpConn{TCPConn: c}); q.take(c) {
			return q
		}
	case *net.UnixConn:
		if q := (&unixConn{UnixConn: c}); q.take(c) {
			return q
		}
	}
	return c
}

// Read and Write of conn, which are less deep, hide those of package net.
type tcpConn struct {
	*net.TCPConn
	conn
}

type unixConn struct {
	*net.UnixConn
	conn
}

// conn is Read and Write of a connection.
type conn struct {
	net     net.Conn
	raw     syscall.RawConn
	in, out transfer
}

// take begins to read and write a connection, if its descriptor is to be had.
func (c *conn) take(of interface {
	net.Conn
	syscall.Conn
}) bool {
	raw, err := of.SyscallConn()
	c.net, c.raw = of, raw
	c.in.step, c.out.step = c.in.read, c.out.write
	return err == nil
}

// transfer is a Read or Write under way.
type transfer struct {
	p    []byte
	n    int
	err  syscall.Errno
	step func(fd uintptr) (over bool) // made once: a call allocates nothing
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return c.net.Read(p)
	}
	n, err := c.in.run(c.raw.Read, p[:min(len(p), mostAtOnce)])
	switch {
	case err != nil:
		return 0, c.named("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) == 0 || len(p) > mostAtOnce {
		return c.net.Write(p)
	}
	n, err := c.out.run(c.raw.Write, p)
	if err != nil {
		err = c.named("write", err)
	}
	return n, err
}

// named makes of an error what package net would have returned.
func (c *conn) named(op string, err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		e.Op = op // it is "raw-" and op
		return e
	}
	return &net.OpError{Op: op, Net: c.net.LocalAddr().Network(), Source: c.net.LocalAddr(), Addr: c.net.RemoteAddr(), Err: os.NewSyscallError(op, err)}
}

// run takes p through step, which way calls whenever the socket may be ready.
func (t *transfer) run(way func(func(uintptr) bool) error, p []byte) (int, error) {
	t.p, t.n, t.err = p, 0, 0
	err := way(t.step)
	t.p = nil
	if err == nil && t.err != 0 {
		err = t.err
	}
	return t.n, err
}

// read reads once.
func (t *transfer) read(fd uintptr) (over bool) {
	for {
		n, err := call(syscall.SYS_READ, fd, t.p)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		t.n, t.err = n, err
		return true
	}
}

// write writes until all is written.
func (t *transfer) write(fd uintptr) (over bool) {
	for t.n < len(t.p) {
		n, err := call(syscall.SYS_WRITE, fd, t.p[t.n:])
		switch err {
		case 0:
			t.n += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.err = err
			return true
		}
	}
	return true
}

// call reads or writes p, which is not empty, on a descriptor that does not block.
func call(number, fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, err := syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))) //nolint:gosec // as package syscall does it
	if err != 0 {
		return 0, err
	}
	return int(n), 0
}
