//go:build linux && !race

package socket

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	fewWaiting  = 8                      // up to so many readers each is woken at once
	mostPrompt  = 512                    // up to so many, who waits for an answer to begin is, with Prompt
	quietPeriod = 500 * time.Microsecond // after such a pause as well
	gatherFor   = time.Millisecond       // longest wait of what has arrived
	mostTold    = 128                    // sockets that one look finds
)

// Gatherer makes connections whose readers are woken together.
//
// A process that reads many slow streams is woken for each piece of each: that costs
// several times what the reading does. While more than a few readers wait for the next
// piece of a stream and what arrives comes close together, a Gatherer looks once a
// millisecond what has arrived and wakes all those readers. Otherwise it wakes each at
// once.
//
// The sockets are in pollers of its own: prompt is always in Go's poller, and paced
// except while the Gatherer looks by the clock. The zero value is ready for use; safe
// for concurrent use.
type Gatherer struct {
	// Prompt wakes readers at once who wait for an answer to begin: from a Write to
	// Streams. Each of them costs a wake-up of its own. It must not change after Conn.
	Prompt bool

	waiting atomic.Int32 // readers of paced
	running sync.WaitGroup

	mu            sync.Mutex // guards all below; taken before that of a connection
	prompt, paced *poller    // nil: there is no connection
	conns         map[int32]*gathered
	closed        bool
}

// Conn takes over a TCP connection and returns one whose reader waits in g, or
// Quick(c) if it is another kind. Unlike c, it is read by one goroutine at a time and
// written by one, and has no deadlines. Its method Streams() says that an answer has
// begun, and what comes until the next Write goes on with it.
func (g *Gatherer) Conn(c net.Conn) net.Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return Quick(c)
	}
	fd, err := duplicate(t)
	if err != nil {
		return Quick(c)
	}
	made := newGathered(g, t, fd)
	if err := g.add(made); err != nil {
		_ = syscall.Close(fd)
		return Quick(c)
	}
	_ = t.Close() // fd is the same connection, which Go's poller does not know
	return made
}

// duplicate returns another descriptor of a connection.
func duplicate(t *net.TCPConn) (fd int, err error) {
	raw, err := t.SyscallConn()
	if err != nil {
		return 0, err
	}
	var errno syscall.Errno
	err = raw.Control(func(of uintptr) {
		var n uintptr
		n, _, errno = syscall.Syscall(syscall.SYS_FCNTL, of, syscall.F_DUPFD_CLOEXEC, 0)
		fd = int(n)
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("fcntl", errno)
	}
	return fd, err
}

// add begins to watch a connection.
func (g *Gatherer) add(c *gathered) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return net.ErrClosed
	}
	if g.prompt == nil {
		if err := g.start(); err != nil {
			return err
		}
	}
	c.prompt, c.paced, c.at = g.prompt, g.paced, g.paced
	g.conns[int32(c.fd)] = c
	if err := c.at.watch(c.fd); err != nil {
		delete(g.conns, int32(c.fd))
		return err
	}
	return nil
}

// start makes the pollers. The lock is held.
func (g *Gatherer) start() error {
	prompt, err := newPoller()
	if err != nil {
		return err
	}
	paced, err := newPoller()
	if err != nil {
		prompt.end()
		prompt.close()
		return err
	}
	g.prompt, g.paced, g.conns = prompt, paced, make(map[int32]*gathered)
	g.running.Go(func() {
		defer prompt.close()
		for prompt.wait() {
			g.tell(prompt.found)
		}
	})
	g.running.Go(func() { g.run(paced) })
	return nil
}

// remove forgets a connection whose descriptor is about to be closed.
func (g *Gatherer) remove(c *gathered) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, int32(c.fd))
	g.endIfIdle()
}

// Close makes g watch no more connections than it does; without any it has ended when
// Close returns, otherwise it ends with the last.
func (g *Gatherer) Close() {
	g.mu.Lock()
	g.closed = true
	idle := len(g.conns) == 0
	g.endIfIdle()
	g.mu.Unlock()
	if idle {
		g.running.Wait()
	}
}

// endIfIdle ends the pollers if there is nothing to watch and will not be. The lock is held.
func (g *Gatherer) endIfIdle() {
	if g.closed && g.prompt != nil && len(g.conns) == 0 {
		g.prompt.end()
		g.paced.end()
		g.prompt, g.paced = nil, nil
	}
}

// run tells connections of paced what happened to them, until the poller ends.
func (g *Gatherer) run(p *poller) {
	defer p.close()
	var last time.Time
	for p.wait() {
		now := time.Now()
		near := len(p.found) > 1 || now.Sub(last) < quietPeriod
		last = now
		many := g.waiting.Load() > fewWaiting
		g.tell(p.found)
		if near && many {
			g.gather(p)
			last = time.Now()
		}
	}
}

// gather looks by the clock, as long as that finds something.
func (g *Gatherer) gather(p *poller) {
	p.silence()
	defer p.alarm()
	for g.waiting.Load() > fewWaiting {
		time.Sleep(gatherFor) //nolint:forbidigo // the clock is what it waits for
		if !p.look() {
			return
		}
		g.tell(p.found)
		for len(p.found) == mostTold && p.look() {
			g.tell(p.found)
		}
	}
}

func (g *Gatherer) tell(events []syscall.EpollEvent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range events {
		if c := g.conns[events[i].Fd]; c != nil {
			c.told(events[i].Events)
		}
	}
}
