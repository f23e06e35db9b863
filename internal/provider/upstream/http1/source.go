package http1

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

const (
	firstBuffer = 2 << 10  // of a call that is reading; only a long line makes it grow
	wideBuffer  = 16 << 10 // of one that receives faster than it reads
)

var errLineTooLong = errors.New("line is longer than allowed")

// source is what arrives on a connection, through one buffer.
type source struct {
	from  io.Reader
	lent  *buffers // where buf is from
	buf   []byte   // buf[r:w] has arrived and is not yet taken
	r, w  int
	heard bool // something has arrived since the call began
}

// pending is what has arrived and is not yet taken.
func (s *source) pending() []byte { return s.buf[s.r:s.w] }

// fill waits for more and appends it to what is pending.
func (s *source) fill() error {
	full := s.w == len(s.buf)
	switch {
	case full && len(s.buf) == firstBuffer:
		s.lent.exchange(s, wideBuffer)
	case full && s.r == 0:
		grown := make([]byte, 2*len(s.buf))
		copy(grown, s.buf)
		s.buf = grown
	case full || s.r == s.w:
		slow := len(s.buf) == wideBuffer && s.w <= firstBuffer/2
		s.w = copy(s.buf, s.pending())
		s.r = 0
		if slow {
			s.lent.exchange(s, firstBuffer)
		}
	}
	n, err := s.read(s.buf[s.w:])
	s.w += n
	return err
}

// read reads past the buffer. It returns bytes or an error, not both: a connection
// repeats its error.
func (s *source) read(p []byte) (int, error) {
	for range 8 {
		n, err := s.from.Read(p)
		if n > 0 {
			s.heard = true
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// take moves what has arrived to p, or waits for something. A large p is filled
// without the detour through the buffer.
func (s *source) take(p []byte) (int, error) {
	if s.r == s.w {
		if len(p) >= len(s.buf) {
			return s.read(p)
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.pending())
	s.r += n
	return n, nil
}

// line takes one line and returns it without its line feed; it is valid until the
// next fill. most bounds its length, line feed included. Of a stream that ends within
// a line the error is io.ErrUnexpectedEOF, of one that ends before it io.EOF.
func (s *source) line(most int) ([]byte, error) {
	for scanned := 0; ; {
		p := s.pending()
		if i := bytes.IndexByte(p[scanned:], '\n'); i >= 0 {
			if scanned+i >= most {
				return nil, errLineTooLong
			}
			s.r += scanned + i + 1
			return p[:scanned+i], nil
		}
		if scanned = len(p); scanned >= most {
			return nil, errLineTooLong
		}
		if err := s.fill(); err != nil {
			if err == io.EOF && scanned > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// buffers lends the buffers that calls read and write with. Safe for concurrent use.
type buffers struct {
	in   sync.Pool // *[firstBuffer]byte
	wide sync.Pool // *[wideBuffer]byte
	out  sync.Pool // *[]byte
}

// lend gives s an empty buffer for what arrives from r.
func (b *buffers) lend(s *source, r io.Reader) {
	*s = source{from: r, lent: b, buf: b.get(firstBuffer)}
}

// exchange gives s a buffer of another size, with what is pending in it.
func (b *buffers) exchange(s *source, size int) {
	old := s.buf
	s.buf = b.get(size)
	s.w = copy(s.buf, old[s.r:s.w])
	s.r = 0
	b.put(old)
}

// giveBack takes the buffer of s; a second time has no effect.
func (b *buffers) giveBack(s *source) {
	b.put(s.buf)
	s.from, s.buf, s.r, s.w = nil, nil, 0, 0
}

func (b *buffers) get(size int) []byte {
	if size == firstBuffer {
		if buf, ok := b.in.Get().(*[firstBuffer]byte); ok {
			return buf[:]
		}
	} else if buf, ok := b.wide.Get().(*[wideBuffer]byte); ok {
		return buf[:]
	}
	return make([]byte, size)
}

func (b *buffers) put(buf []byte) {
	switch len(buf) {
	case firstBuffer:
		b.in.Put((*[firstBuffer]byte)(buf))
	case wideBuffer:
		b.wide.Put((*[wideBuffer]byte)(buf))
	}
}

// scratch lends an empty buffer to write into.
func (b *buffers) scratch() *[]byte {
	if buf, ok := b.out.Get().(*[]byte); ok {
		*buf = (*buf)[:0]
		return buf
	}
	buf := make([]byte, 0, firstBuffer)
	return &buf
}

// keep takes a buffer that scratch lent.
func (b *buffers) keep(buf *[]byte) {
	if cap(*buf) <= 2*inlineBody {
		b.out.Put(buf)
	}
}
