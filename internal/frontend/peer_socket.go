//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package frontend

import (
	"crypto/tls"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// probe looks whether the peer of a connection has left. The HTTP server reads
// nothing while it answers, so the socket itself is asked, without taking
// anything from it. The zero value is ready.
//
// A client that closed only its sending side looks gone, as it does to net/http.
// One that sent another request before it left looks present.
type probe struct {
	raw  syscall.RawConn
	look func(fd uintptr)
	gone bool
}

func (p *probe) peerGone(nc net.Conn) bool {
	if p.raw == nil && !p.open(nc) {
		return false
	}
	p.gone = false
	return p.raw.Control(p.look) != nil || p.gone
}

func (p *probe) open(nc net.Conn) bool {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	p.raw = raw
	p.look = func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch err {
		case nil:
			p.gone = n == 0
		case unix.EAGAIN, unix.EINTR:
		default:
			p.gone = true
		}
	}
	return true
}

// unsent returns how many bytes the peer has not acknowledged yet, or 0 if that
// cannot be told.
func unsent(nc net.Conn) int {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	left := 0
	if raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }) != nil || err != nil {
		return 0
	}
	return left
}
