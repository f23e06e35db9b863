package frontend

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http/httputil"
	"os"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/osiris/osiris/pkg/protocol"
)

// The HTTP server reads a request's body into memory before it calls a handler. It
// could hand all bodies out as streams, but then every connection would keep its
// header buffer for the whole of an answer, and no limit would hold for the others.
// So an upload's body is hidden from it: once the header is there it is told that
// there is none, the connection is taken over, and the body read from it as the
// handler asks. What follows on the connection is unknown then, so it is closed
// after the answer.

const filesPath = "/v1/files"

// uploadLength carries the length of a hidden body from the header's arrival to the
// handler. What a client sends under this name is overwritten.
const uploadLength = "X-Osiris-Upload-Length"

// isUpload tells requests whose body is not read before they are handled.
func isUpload(h *fasthttp.RequestHeader) bool {
	if !h.IsPost() {
		return false
	}
	path, _, _ := bytes.Cut(h.RequestURI(), []byte("?"))
	path = bytes.TrimRight(path, "/")
	return bytes.HasSuffix(path, []byte("/files")) && cleanPath(string(path)) == filesPath
}

// hideBody makes the server take a request for one without a body.
func hideBody(h *fasthttp.RequestHeader) {
	n := h.ContentLength()
	h.SetContentLength(0)
	h.Set(uploadLength, strconv.Itoa(n))
}

// hiddenLength returns the length of a hidden body, -1 if it comes in chunks.
func hiddenLength(h *fasthttp.RequestHeader) int64 {
	n, err := strconv.ParseInt(string(h.Peek(uploadLength)), 10, 64)
	if err != nil || n < -1 {
		return 0 // the header named no length: there is no body
	}
	return n
}

// takeOver answers an upload on a goroutine of its own, which ends with the
// connection: Shutdown waits for it as it does for connections.
func (s *Server) takeOver(ctx *fasthttp.RequestCtx) {
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(rest net.Conn) { s.answerUpload(ctx, rest) })
}

// answerUpload serves the request of ctx with a body that is read from rest.
func (s *Server) answerUpload(ctx *fasthttp.RequestCtx, rest net.Conn) {
	h := &ctx.Request.Header
	body := newUploadBody(rest, hiddenLength(h))
	h.Del(uploadLength)
	c, ok := ctx.Conn().(*conn)
	if ok {
		// The server took its deadlines back with the connection.
		if err := c.SetReadDeadline(time.Now().Add(s.cfg.Load().ReadTimeout)); err != nil {
			return // it is gone
		}
	}
	ctx.Request.SetBodyStream(body, int(body.length))
	fc := s.app.AcquireCtx(ctx)
	s.serve(fc)
	s.app.ReleaseCtx(fc)
	if ok {
		c.linger = !body.ended
	}
	ctx.Request.ResetBody()
	ctx.Response.Header.SetConnectionClose()
	out := bufio.NewWriter(rest)
	if ctx.Response.Write(out) == nil {
		_ = out.Flush() // the client is gone: nobody to tell
	}
}

// uploadBody is the body of an upload, as it arrives.
type uploadBody struct {
	length int64 // -1: not told
	in     io.Reader
	left   int64 // of length
	ended  bool  // it was read to its end
	err    error // of the connection; nil if the sender did what it announced
}

func newUploadBody(conn io.Reader, length int64) *uploadBody {
	b := &uploadBody{length: length, left: length}
	in := bufio.NewReaderSize(conn, 64<<10)
	if b.in = in; length < 0 {
		b.in = httputil.NewChunkedReader(in)
	}
	b.ended = length == 0
	return b
}

// Read implements io.Reader.
func (b *uploadBody) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	if b.err != nil {
		return 0, b.err
	}
	if b.length >= 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.in.Read(p)
	b.left -= int64(n)
	switch {
	case b.length >= 0 && b.left == 0, b.length < 0 && err == io.EOF:
		b.ended, err = true, nil
		if n == 0 {
			err = io.EOF
		}
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	b.err = err
	if b.ended {
		b.err = nil
	}
	return n, err
}

// fault says what became of the sender, nil if it is still there.
func (b *uploadBody) fault() error {
	switch {
	case b.err == nil:
		return nil
	case errors.Is(b.err, os.ErrDeadlineExceeded):
		return errLate()
	case errors.Is(b.err, io.ErrUnexpectedEOF):
		return errGone
	}
	if _, ok := errors.AsType[net.Error](b.err); ok {
		return errGone
	}
	return protocol.ErrInvalid("", "", "The HTTP request is malformed.").Wrap(b.err) // a broken chunk
}
