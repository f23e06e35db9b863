package jobs

import (
	"encoding/binary"
	"sync"
)

const (
	gatheredSize = 4 << 10   // what a new buffer can take
	keepBuffer   = 256 << 10 // larger buffers are left to the collector
	storedHeader = 13        // kind, attempt, number, length of an event kept for Next
)

// gathered is the events of one stream that wait for its reader. A stream has one
// from the first event that waits until the reader has come to the last: streams
// that are idle, which most of them are at any moment, have none, and those that are
// not use the memory that others have warmed up.
type gathered struct{ events []byte }

// gatherings lends buffers. The zero value is ready.
type gatherings struct{ pool sync.Pool }

func (p *gatherings) take() *gathered {
	if g, ok := p.pool.Get().(*gathered); ok {
		return g
	}
	return &gathered{events: make([]byte, 0, gatheredSize)}
}

// give takes a buffer back, or nil. Nothing may point into it.
func (p *gatherings) give(g *gathered) {
	if g == nil || cap(g.events) > keepBuffer {
		return
	}
	g.events = g.events[:0]
	p.pool.Put(g)
}

func (g *gathered) add(f *frame) {
	kind := byte(f.kind)
	if f.more {
		kind |= frameMore
	}
	b := append(g.events, kind)
	b = binary.LittleEndian.AppendUint32(b, f.attempt)
	b = binary.LittleEndian.AppendUint32(b, f.number)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.data)))
	g.events = append(b, f.data...)
}

// holdsText reports whether a chunk or an answer is among the events.
func holdsText(b []byte) bool {
	for len(b) > 0 {
		if k := EventKind(b[0] &^ frameMore); k == Chunk || k == Answer {
			return true
		}
		b = b[storedHeader+int(binary.LittleEndian.Uint32(b[9:])):]
	}
	return false
}
