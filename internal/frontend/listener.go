package frontend

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/osiris/osiris/internal/socket"
)

// connSet knows every open connection.
type connSet struct {
	bodies   *bodies
	stall    func() time.Duration
	segments sync.Pool // of *segment

	mu    sync.Mutex
	conns map[*conn]struct{} // guarded by mu
	empty chan struct{}      // guarded by mu; closed when conns is empty, nil unless somebody waits
}

func newConnSet(bodies *bodies, stall func() time.Duration) *connSet {
	return &connSet{bodies: bodies, stall: stall, conns: make(map[*conn]struct{})}
}

// segment lends memory for a piece of an answer. Whoever has it puts it back into
// segments.
func (s *connSet) segment() *segment {
	if p, ok := s.segments.Get().(*segment); ok {
		return p
	}
	return new(segment)
}

func (s *connSet) add(nc net.Conn) *conn {
	_, tcp := nc.(*net.TCPConn)
	c := &conn{Conn: socket.Quick(nc), set: s, partial: tcp}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	return c
}

func (s *connSet) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// cut breaks the connections that which picks.
func (s *connSet) cut(which func(*conn) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if which(c) {
			c.cut()
		}
	}
}

// gone returns a channel that is closed once no connection is open.
func (s *connSet) gone() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	if len(s.conns) == 0 {
		close(s.empty)
		s.empty = nil
	}
	return empty
}

// listener hands out watched connections, and goes on when the process is out of
// file descriptors: the server below would stop for good.
type listener struct {
	net.Listener
	set  *connSet
	log  *slog.Logger
	once sync.Once
	done chan struct{} // closed by Close
}

func newListener(ln net.Listener, set *connSet, log *slog.Logger) *listener {
	return &listener{Listener: ln, set: set, log: log, done: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		nc, err := l.Listener.Accept()
		if err == nil {
			return l.set.add(nc), nil
		}
		if !passing(err) {
			return nil, err
		}
		if pause == shortest {
			l.log.Warn("cannot accept a connection, trying on", "error", err)
		}
		select {
		case <-l.done:
			return nil, net.ErrClosed
		case <-time.After(pause):
		}
		pause = min(2*pause, longest)
	}
}

// Close implements net.Listener. It may be called more than once.
func (l *listener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.done)
		err = l.Listener.Close()
	})
	return err
}

// passing tells the faults of accept that go away by themselves.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
