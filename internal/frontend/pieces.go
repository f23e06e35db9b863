package frontend

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
)

// A streamed answer leaves in pieces, each a chunk of HTTP's chunked coding with all
// events that were there when it was made. The server below would copy them through
// two buffers of 4 KB each and make two system calls of every 4 KB, and three of the
// end; a piece is one, and the last one takes the end of the body along. While a
// stream waits for its next event it has no buffer: that comes from a pool.
const (
	pieceHead  = 6                                // room for the length, in hexadecimal, and the end of its line
	pieceSize  = 16<<10 - pieceHead - len("\r\n") // the most of an answer in a piece, which package socket writes cheaply
	firstPiece = 2 << 10                          // what goes out with the header: both fit into the server's buffer
	wholePiece = 4 << 10                          // where a write cannot be continued, a slow client has WriteStall for all of it
)

// segment is the memory for one piece, or for the held end of an answer.
type segment [pieceHead + pieceSize + len("\r\n")]byte

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo.
func (*body) SupportsBodyWriteTo() bool { return true }

// WriteTo implements io.WriterTo. w is the server's own way to the connection, which
// only the first piece takes: it has the header with it.
func (b *body) WriteTo(w io.Writer) (sent int64, err error) {
	defer func() {
		if v := recover(); v != nil {
			b.call.srv.log.Error("panic while streaming", "job_id", b.call.id.String(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = errBroken
		}
	}()
	for {
		if err := b.await(); errors.Is(err, io.EOF) {
			return sent, nil
		} else if err != nil {
			return sent, err
		}
		n, err := b.send(w)
		sent += int64(n)
		if err != nil {
			return sent, err
		}
	}
}

// await returns once there is something to send, io.EOF at the end.
func (b *body) await() error {
	for len(b.rest) == 0 {
		if b.last {
			return io.EOF
		}
		if err := b.advance(); err != nil {
			return err
		}
	}
	return nil
}

// send sends a piece of what is there.
func (b *body) send(w io.Writer) (int, error) {
	p := b.call.srv.conns.segment()
	defer b.call.srv.conns.segments.Put(p)
	data := p[pieceHead : pieceHead+pieceSize]
	switch {
	case !b.headed:
		data = data[:firstPiece]
	case b.call.conn != nil && !b.call.conn.partial:
		data = data[:wholePiece]
	}
	n, err := b.Read(data)
	if err != nil {
		return 0, err
	}
	if b.last && len(b.rest) == 0 && b.call.conn != nil {
		b.call.conn.finishing = true
	}
	if !b.headed || b.call.conn == nil {
		b.headed = true
		return w.Write(data[:n])
	}
	_, err = b.call.conn.Write(p.framed(n))
	return n, err
}

// framed makes a chunk of the n bytes that are in place.
func (p *segment) framed(n int) []byte {
	var hex [pieceHead]byte
	head := append(strconv.AppendUint(hex[:0], uint64(n), 16), "\r\n"...)
	from := pieceHead - len(head)
	copy(p[from:], head)
	return append(p[from:pieceHead+n], "\r\n"...)
}
