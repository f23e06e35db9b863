package http1

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
)

const (
	maxChunkLine = 4 << 10  // a size and its extensions
	maxChunkIdle = 16 << 10 // extensions that come with no text worth them
	maxTrailer   = 16 << 10
)

// framing is how a reader knows where a body ends.
type framing uint8

const (
	untilClose framing = iota
	byLength
	byChunks
)

// response reads one response. Its body is read until an error, which repeats;
// io.EOF is the end, and comes with the last bytes if it is known by then.
type response struct {
	source
	head
	framing framing
	left    int64 // of the body, or of the chunk under way
	inside  bool  // a chunk has begun; the line end behind it was not read yet
	excess  int   // bytes of chunk lines beyond what is usual
	err     error
}

// begin reads the head. headless says that the request's method allows no body.
func (r *response) begin(headless bool, mostHead int) error {
	if err := r.readHead(&r.head, mostHead); err != nil {
		r.err = err
		return err
	}
	switch {
	case headless || r.status == http.StatusNoContent || r.status == http.StatusNotModified:
		r.err = io.EOF
	case r.chunked:
		r.framing = byChunks
	case r.length == 0:
		r.err = io.EOF
	case r.length > 0:
		r.framing, r.left = byLength, r.length
	default:
		r.framing, r.keep = untilClose, false
	}
	return nil
}

// next reads the body.
func (r *response) next(p []byte) (n int, err error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	switch r.framing {
	case byChunks:
		n, r.err = r.chunks(p)
	case byLength:
		n, r.err = r.sized(p)
	default:
		n, r.err = r.take(p)
	}
	if n > 0 && r.err != io.EOF {
		return n, nil // the error comes with the next call
	}
	return n, r.err
}

func (r *response) sized(p []byte) (int, error) {
	n, err := r.take(p[:min(int64(len(p)), r.left)])
	if r.left -= int64(n); r.left == 0 {
		return n, io.EOF
	}
	return n, noEOF(err)
}

// chunks fills p from as many chunks as have arrived; it waits only for the first byte.
func (r *response) chunks(p []byte) (n int, err error) {
	for {
		if r.left == 0 {
			if n > 0 && !r.lineArrived() {
				return n, nil
			}
			if err := r.nextChunk(); err != nil {
				return n, err
			}
		}
		if n == len(p) || n > 0 && r.r == r.w {
			return n, nil
		}
		m, err := r.take(p[n:min(int64(len(p)), int64(n)+r.left)])
		if err != nil {
			return n, noEOF(err)
		}
		n += m
		r.left -= int64(m)
	}
}

// skip drops what has arrived of the body.
func (r *response) skip() {
	for r.err == nil && r.framing != untilClose {
		if r.framing == byChunks && r.left == 0 {
			if !r.lineArrived() {
				return
			}
			r.err = r.nextChunk()
			continue
		}
		n := min(r.left, int64(len(r.pending())))
		if n == 0 {
			return
		}
		r.r += int(n)
		if r.left -= n; r.left == 0 && r.framing == byLength {
			r.err = io.EOF
		}
	}
}

// lineArrived reports whether nextChunk would not wait. It may be too careful.
func (r *response) lineArrived() bool {
	p := r.pending()
	if r.inside {
		if len(p) < 2 {
			return false
		}
		p = p[2:]
	}
	end := bytes.IndexByte(p, '\n')
	if end < 0 || p[0] != '0' {
		return end >= 0
	}
	trailer := p[end+1:]
	return bytes.HasPrefix(trailer, []byte("\r\n")) || bytes.Contains(trailer, []byte("\n\r\n"))
}

// nextChunk reads the line before a chunk. After the last one the error is io.EOF.
func (r *response) nextChunk() error {
	if r.inside {
		if line, err := r.chunkLine(2); err != nil || len(line) > 0 {
			return orMalformed(err, "end of a chunk")
		}
		r.inside = false
	}
	line, err := r.chunkLine(maxChunkLine)
	if err != nil {
		return orMalformed(err, "chunk size")
	}
	size, ok := chunkSize(line)
	if !ok {
		return malformed("chunk size")
	}
	// A line may be as long as a size needs, and longer for a chunk that is worth it.
	r.excess = max(0, r.excess+len(line)+2-16-2*int(min(size, maxChunkIdle)))
	if r.excess > maxChunkIdle {
		return malformed("chunks have more extensions than text")
	}
	if size == 0 {
		return r.trailer()
	}
	r.left, r.inside = size, true
	return nil
}

// chunkLine takes a line that ends in CR LF and has neither elsewhere.
func (r *response) chunkLine(most int) ([]byte, error) {
	line, err := r.line(most)
	if err != nil {
		return nil, err
	}
	line, ok := bytes.CutSuffix(line, []byte{'\r'})
	if !ok || bytes.IndexByte(line, '\r') >= 0 {
		return nil, errLineEnd
	}
	return line, nil
}

var errLineEnd = errors.New("line does not end in CR LF")

// chunkSize reads the size and ignores the extensions behind it.
func chunkSize(line []byte) (int64, bool) {
	line, _, _ = bytes.Cut(bytes.TrimRight(line, " \t"), []byte{';'})
	var n int64
	for _, c := range line {
		var digit byte
		switch {
		case '0' <= c && c <= '9':
			digit = c - '0'
		case 'a' <= c && c <= 'f':
			digit = c - 'a' + 10
		case 'A' <= c && c <= 'F':
			digit = c - 'A' + 10
		default:
			return 0, false
		}
		if n > math.MaxInt64>>4 {
			return 0, false
		}
		n = n<<4 | int64(digit)
	}
	return n, len(line) > 0 && len(line) <= 16
}

// trailer skips what follows the last chunk; what is there must be header lines.
func (r *response) trailer() error {
	ignored := head{status: http.StatusOK}
	for left := maxTrailer; ; {
		line, err := r.line(left)
		if err != nil {
			return orMalformed(err, "trailer")
		}
		left -= len(line) + 1
		line, ok := bytes.CutSuffix(line, []byte{'\r'})
		if ok && len(line) == 0 {
			return io.EOF
		}
		if err := ignored.field(line); err != nil || !ok {
			return malformed("trailer")
		}
	}
}

// orMalformed makes a fault of the text out of one found in it, and leaves one of
// the network as it is.
func orMalformed(err error, what string) error {
	if err == nil || err == errLineEnd || err == errLineTooLong {
		return malformed(what)
	}
	return noEOF(err)
}

// noEOF is for a stream that ended where it must not.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
