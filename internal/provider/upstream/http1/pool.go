package http1

import (
	"sync"
	"time"
)

// pool keeps idle connections. It has no goroutine: a timer that runs only while
// something is idle closes what was idle for too long or was closed by its server.
type pool struct {
	most   int           // idle connections of one place
	expiry time.Duration // how long one may be idle

	mu     sync.Mutex // guards all below
	idle   map[place][]*conn
	sweeps *time.Timer // nil: nothing is idle
	closed bool
}

// take returns the connection that was used last, or nil.
func (p *pool) take(at place) *conn {
	for {
		c := p.pop(at)
		if c == nil || !c.stale() && time.Since(c.since) < p.expiry {
			return c
		}
		c.cut()
	}
}

func (p *pool) pop(at place) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[at]
	if len(list) == 0 {
		return nil
	}
	last := len(list) - 1
	c := list[last]
	list[last] = nil
	p.idle[at] = list[:last]
	return c
}

// put keeps a connection, or closes it where there are enough.
func (p *pool) put(at place, c *conn) {
	c.since = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[at]) >= p.most {
		c.cut()
		return
	}
	if p.idle == nil {
		p.idle = make(map[place][]*conn)
	}
	p.idle[at] = append(p.idle[at], c)
	if p.sweeps == nil {
		p.sweeps = time.AfterFunc(p.expiry/2, p.sweep)
	}
}

// sweep closes what is of no use and comes again while anything is idle.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweeps = nil
	rest := 0
	for at, list := range p.idle {
		kept := list[:0]
		for _, c := range list {
			if time.Since(c.since) >= p.expiry || c.stale() {
				c.cut()
			} else {
				kept = append(kept, c)
			}
		}
		clear(list[len(kept):])
		if p.idle[at] = kept; len(kept) == 0 {
			delete(p.idle, at)
		}
		rest += len(kept)
	}
	if rest > 0 && !p.closed {
		p.sweeps = time.AfterFunc(p.expiry/2, p.sweep)
	}
}

// close closes what is idle, and from now on every connection that is put.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, list := range p.idle {
		for _, c := range list {
			c.cut()
		}
	}
	p.idle = nil
	if p.sweeps != nil {
		p.sweeps.Stop()
	}
}
