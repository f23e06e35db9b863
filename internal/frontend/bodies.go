package frontend

import (
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/osiris/osiris/pkg/protocol"
)

// smallBody is the size up to which bodies are not counted: a frontend that is full
// of large ones still takes in the others, which the depth of the queue bounds.
const smallBody = 16 << 10

// bodies bounds what the large bodies of all requests take together, from the header
// that announces one until the queue has it.
//
// The HTTP server reads bodies before it calls a handler, and knows no connection
// when a header has arrived: until the handler claims it, a share is known by the
// address of the header.
type bodies struct {
	mu     sync.Mutex
	used   int64                             // bytes promised; guarded by mu
	unread map[*fasthttp.RequestHeader]share // guarded by mu
}

// share is what one body may take.
type share struct {
	bytes int64
	short bool // less than it may need, for want of room
}

// announce reserves what the header says its body needs, and returns how many bytes
// the server may read. A body that does not say its length gets up to half of what
// is free, so that others like it find room too; claim gives back what it leaves.
func (b *bodies) announce(h *fasthttp.RequestHeader, limit, budget int64) int64 {
	n := int64(h.ContentLength())
	if n >= 0 && n <= smallBody || n < -1 || n > limit {
		return limit
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	free := max(budget-b.used, 0)
	s := share{bytes: n, short: n > free}
	switch {
	case n == -1:
		s.bytes = min(limit, max(free/2, smallBody))
		s.short = s.bytes < limit
	case s.short:
		s.bytes = 0
	}
	b.used += s.bytes
	if b.unread == nil {
		b.unread = map[*fasthttp.RequestHeader]share{}
	}
	b.unread[h] = s
	if s.bytes == 0 {
		return smallBody // less than was announced: the server refuses without reading
	}
	return s.bytes
}

// claim takes the share of a header over; give returns it.
func (b *bodies) claim(h *fasthttp.RequestHeader) share {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.unread[h]
	delete(b.unread, h)
	return s
}

// short tells whether the body of h found no room.
func (b *bodies) short(h *fasthttp.RequestHeader) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unread[h].short
}

// some reserves up to half of what is free, at most n bytes.
func (b *bodies) some(n, budget int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := min(n, max((budget-b.used)/2, smallBody))
	b.used += got
	return got
}

// all reserves n bytes or nothing, except that whoever is alone always finds room.
func (b *bodies) all(n, budget int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used > 0 && b.used+n > budget {
		return false
	}
	b.used += n
	return true
}

func (b *bodies) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
}

func (b *bodies) inUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// errNoRoom refuses a body that must wait for others.
func errNoRoom() *protocol.Error { return protocol.ErrOverloaded(time.Second) }
