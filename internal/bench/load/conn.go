package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"

	"github.com/osiris/osiris/internal/socket"
)

// target is whom connections go to.
type target struct {
	address string // host:port
	name    string // of its certificate; empty without TLS
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

func newTarget(u *url.URL, dial func(ctx context.Context, network, address string) (net.Conn, error)) target {
	t := target{dial: dial}
	port := "80"
	if u.Scheme == "https" {
		t.name, port = u.Hostname(), "443"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	t.address = net.JoinHostPort(u.Hostname(), port)
	return t
}

// conn is a keep-alive connection that its owner sends one request after the other on. It
// is opened when it is needed.
type conn struct {
	target  target
	stream  net.Conn // nil: not open
	release func() bool
	used    time.Time     // when the last answer ended
	in      *bufio.Reader // of stream
	body    *bufio.Reader // of an answer's body
}

// open connects if there is no connection; the end of ctx closes it at once.
func (c *conn) open(ctx context.Context) error {
	if c.stream != nil {
		return nil
	}
	stream, err := c.target.dial(ctx, "tcp", c.target.address)
	if err != nil {
		return fail("dial", "%w", err)
	}
	if c.target.name == "" {
		stream = socket.Quick(stream)
	} else {
		stream = tls.Client(stream, &tls.Config{ServerName: c.target.name, MinVersion: tls.VersionTLS12})
	}
	c.stream = stream
	c.release = context.AfterFunc(ctx, func() { _ = stream.Close() })
	if c.in == nil {
		c.in, c.body = bufio.NewReaderSize(stream, 4<<10), bufio.NewReaderSize(nil, 4<<10)
	} else {
		c.in.Reset(stream)
	}
	return nil
}

func (c *conn) close() {
	if c.stream != nil {
		c.release()
		_ = c.stream.Close()
		c.stream = nil
	}
}

// response is the head of an answer. Its body is read from the connection's body, to the
// end, then finish is called.
type response struct {
	status  int
	chunked bool
	length  int64 // of the body; -1: until the connection ends
	last    bool  // the connection cannot be used again
}

// idleTime is how long a connection must have been idle for its end to be no failure of
// the request that meets it: servers may close what nobody uses, and nothing else.
const idleTime = time.Second

// send writes a request and reads the head of its answer. A connection that was idle, and
// that the server closed meanwhile, is replaced once, if nothing of an answer came.
func (c *conn) send(ctx context.Context, request []byte, deadline time.Time) (response, error) {
	for again := c.stream != nil && time.Since(c.used) > idleTime; ; again = false {
		if err := c.open(ctx); err != nil {
			return response{}, err
		}
		_ = c.stream.SetDeadline(deadline)
		_, err := c.stream.Write(request)
		if err == nil {
			if _, err = c.in.Peek(1); err == nil {
				return c.head()
			}
		}
		if timeout, ok := errors.AsType[net.Error](err); !again || ctx.Err() != nil || ok && timeout.Timeout() {
			return response{}, broken("waiting for the answer", err)
		}
		c.close()
	}
}

// head reads the head of an answer.
func (c *conn) head() (response, error) {
	for {
		r := response{length: -1}
		line, err := c.line()
		if err != nil {
			return r, broken("reading the status", err)
		}
		if len(line) < 12 || string(line[:7]) != "HTTP/1." {
			return r, fail("no_http", "the answer begins with %.50q", line)
		}
		r.last = line[7] == '0'
		if r.status, err = strconv.Atoi(string(line[9:12])); err != nil {
			return r, fail("no_http", "the answer begins with %.50q", line)
		}
		for {
			if line, err = c.line(); err != nil {
				return r, broken("reading the header", err)
			}
			if len(line) == 0 {
				break
			}
			if err := r.field(line); err != nil {
				return r, err
			}
		}
		if r.status >= 200 {
			c.frame(&r)
			return r, nil
		}
	}
}

// line reads one line without its end; of a longer one than the buffer only the beginning,
// which no field of interest has.
func (c *conn) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = line[:64:64]
		line = append([]byte(nil), line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = c.in.ReadSlice('\n')
		}
	}
	return bytes.TrimRight(line, "\r\n"), err
}

func (r *response) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimSpace(value)
	switch {
	case len(name) == len("content-length") && bytes.EqualFold(name, []byte("content-length")):
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return fail("no_http", "the content length is %.30q", value)
		}
		r.length = n
	case len(name) == len("transfer-encoding") && bytes.EqualFold(name, []byte("transfer-encoding")):
		r.chunked = bytes.EqualFold(value, []byte("chunked"))
	case len(name) == len("connection") && bytes.EqualFold(name, []byte("connection")):
		r.last = r.last || bytes.EqualFold(value, []byte("close"))
	}
	return nil
}

// frame makes c.body the body of r.
func (c *conn) frame(r *response) {
	switch {
	case r.chunked:
		c.body.Reset(httputil.NewChunkedReader(c.in))
	case r.length >= 0:
		c.body.Reset(&exactly{r: c.in, left: r.length})
	default:
		r.last = true
		c.body.Reset(c.in)
	}
}

// finish reads what is left of an answer, in which nothing but white space may be.
func (c *conn) finish(r response) error {
	for {
		b, err := c.body.ReadByte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return broken("reading the end", err)
		}
		if b > ' ' {
			return fail("trailing_data", "something follows the answer")
		}
	}
	for r.chunked { // trailers, up to an empty line
		line, err := c.line()
		if err != nil {
			return broken("reading the end", err)
		}
		if len(line) == 0 {
			break
		}
	}
	if c.used = time.Now(); r.last {
		c.close()
	}
	return nil
}

// exactly reads a body of known length; an early end is io.ErrUnexpectedEOF.
type exactly struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
