//go:build linux && !race

package socket

import (
	"os"
	"syscall"
	"unsafe"
)

const (
	edge     = 1 << 31 // EPOLLET, whose constant in package syscall is negative
	incoming = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
	outgoing = syscall.EPOLLOUT | syscall.EPOLLHUP | syscall.EPOLLERR
)

// poller finds out which of many sockets have news. It is two of the system's pollers:
// one has the sockets, the other that one, and is in Go's poller. So Go wakes whoever
// waits for any socket, and does not while the first is taken out of the second.
type poller struct {
	sockets int
	bell    *os.File
	raw     syscall.RawConn // bell
	ring    int             // bell's descriptor, valid inside raw's calls and before close

	found  []syscall.EpollEvent // by the last look
	events [mostTold]syscall.EpollEvent
	step   func(uintptr) bool // look, for raw; made once
}

func newPoller() (*poller, error) {
	sockets, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	p := &poller{sockets: sockets}
	if p.ring, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		_ = syscall.Close(sockets)
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err = syscall.SetNonblock(p.ring, true); err == nil { // else package os leaves it out of Go's poller
		p.bell = os.NewFile(uintptr(p.ring), "poller")
		if p.raw, err = p.bell.SyscallConn(); err == nil {
			err = p.connect(syscall.EPOLL_CTL_ADD, syscall.EPOLLIN)
		}
	}
	if err != nil {
		_ = syscall.Close(sockets)
		_ = syscall.Close(p.ring)
		return nil, err
	}
	p.step = func(uintptr) bool { return p.look() }
	return p, nil
}

// watch adds a socket. Each arrival is told once, what has arrived by now included.
func (p *poller) watch(fd int) error {
	return p.control(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN|syscall.EPOLLRDHUP)
}

// watchRoom makes p tell as well when there is room to write.
func (p *poller) watchRoom(fd int) error {
	return p.control(syscall.EPOLL_CTL_MOD, fd, syscall.EPOLLIN|syscall.EPOLLRDHUP|syscall.EPOLLOUT)
}

// forget removes a socket.
func (p *poller) forget(fd int) error { return p.control(syscall.EPOLL_CTL_DEL, fd, 0) }

func (p *poller) control(op, fd int, events uint32) error {
	e := syscall.EpollEvent{Events: edge | events, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(p.sockets, op, fd, &e))
}

// look finds what has news by now, and reports whether anything has.
func (p *poller) look() bool {
	for {
		n, _, err := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(p.sockets),
			uintptr(unsafe.Pointer(&p.events)), mostTold, 0, 0, 0) //nolint:gosec // as package syscall does it
		if err != syscall.EINTR {
			p.found = p.events[:0]
			if err == 0 {
				p.found = p.events[:n]
			}
			return len(p.found) > 0
		}
	}
}

// wait blocks until something has news, which is then found; false: the poller ended.
func (p *poller) wait() bool { return p.raw.Read(p.step) == nil }

// silence takes the sockets out of Go's sight, alarm brings them back: with news by
// then, wait does not block.
func (p *poller) silence() { _ = p.connect(syscall.EPOLL_CTL_MOD, 0) }
func (p *poller) alarm()   { _ = p.connect(syscall.EPOLL_CTL_MOD, syscall.EPOLLIN) }

func (p *poller) connect(op int, events uint32) error {
	e := syscall.EpollEvent{Events: events, Fd: int32(p.sockets)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(p.ring, op, p.sockets, &e))
}

// end makes wait return false. Safe for concurrent use.
func (p *poller) end() { _ = p.bell.Close() }

// close gives back what end leaves; by the goroutine that waits.
func (p *poller) close() { _ = syscall.Close(p.sockets) }
