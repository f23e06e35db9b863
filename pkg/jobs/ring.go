package jobs

import (
	"encoding/binary"
	"sync"
)

// window is how much of an attempt may be on its way unacknowledged. A worker at
// the end of it stops reading from the model: the slowness of a client reaches the
// model, and no buffer between them grows.
const window = 1 << 20

// ring holds the frames of an attempt that its frontend has not acknowledged, as
// they were sent.
type ring struct {
	buf   []byte
	head  int     // where the first held frame begins
	first uint32  // its number, if any is held
	spare *[]byte // what buf was lent in
}

// keptRing is the largest buffer of a ring that is kept for another.
const keptRing = 64 << 10

// ringBuffers keeps the buffers of rings that are over: most answers fit into one that
// has grown already. Safe for concurrent use; the zero value is ready.
type ringBuffers struct{ pool sync.Pool }

// lend gives an empty ring a buffer, if there is one.
func (b *ringBuffers) lend(r *ring) {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		r.buf, r.spare = (*buf)[:0], buf
	}
}

// take empties a ring and keeps its buffer.
func (b *ringBuffers) take(r *ring) {
	buf, spare := r.buf, r.spare
	*r = ring{}
	if cap(buf) == 0 || cap(buf) > keptRing {
		return
	}
	if spare == nil {
		spare = new([]byte)
	}
	*spare = buf
	b.pool.Put(spare)
}

func (r *ring) size() int { return len(r.buf) - r.head }

// add appends a frame; numbers must follow one another.
func (r *ring) add(f *frame) {
	if r.size() == 0 {
		r.buf, r.head, r.first = r.buf[:0], 0, f.number
	}
	r.buf = appendFrame(r.buf, f)
}

// drop forgets the frames up to and including number.
func (r *ring) drop(number uint32) {
	for r.size() > 0 && r.first <= number {
		r.head += r.frameSize(r.head)
		r.first++
	}
	switch {
	case r.size() == 0:
		r.buf, r.head = r.buf[:0], 0
	case r.head > len(r.buf)/2:
		r.buf = append(r.buf[:0], r.buf[r.head:]...)
		r.head = 0
	}
}

// from calls send with runs of whole frames from number on, each no longer than
// most unless a single frame is.
func (r *ring) from(number uint32, most int, send func(frames []byte)) {
	at, n := r.head, r.first
	for at < len(r.buf) && n < number {
		at += r.frameSize(at)
		n++
	}
	for at < len(r.buf) {
		end := at + r.frameSize(at)
		for end < len(r.buf) && end+r.frameSize(end)-at <= most {
			end += r.frameSize(end)
		}
		send(r.buf[at:end])
		at = end
	}
}

func (r *ring) frameSize(at int) int {
	return frameHeader + int(binary.LittleEndian.Uint32(r.buf[at+offsetOfLength:]))
}
