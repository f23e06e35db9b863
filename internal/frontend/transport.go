package frontend

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"

	"github.com/valyala/fasthttp"

	"github.com/osiris/osiris/pkg/protocol"
)

// strangersBody is how much is read from somebody without a valid key before the
// refusal is sent.
const strangersBody = 64 << 10

var errTwoLengths = errors.New("both Content-Length and Transfer-Encoding")

// limits says, once a request's header is there, how large its body may be, and
// reserves room for it.
func (s *Server) limits(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	cfg := s.cfg.Load()
	if isUpload(h) {
		hideBody(h)
	}
	return fasthttp.RequestConfig{MaxRequestBodySize: int(s.bodies.announce(h, s.limit(h, cfg), cfg.MaxBodies))}
}

// limit is how large the body of h may be at most.
func (s *Server) limit(h *fasthttp.RequestHeader, cfg *Config) int64 {
	if n := h.ContentLength(); n > strangersBody || n == -1 {
		if _, err := s.authenticate(h, cfg); err != nil {
			return min(cfg.MaxBody, strangersBody)
		}
	}
	return cfg.MaxBody
}

// expect answers those who ask before they send a body.
func (s *Server) expect(ctx *fasthttp.RequestCtx) int {
	h := &ctx.Request.Header
	if isUpload(h) {
		return s.expectUpload(ctx)
	}
	if int64(h.ContentLength()) <= s.limit(h, s.cfg.Load()) && !s.bodies.short(h) {
		if c, ok := ctx.Conn().(*conn); ok { // no handler comes if the client leaves now
			c.promised.Add(s.bodies.claim(h).bytes)
		}
		return http.StatusContinue
	}
	s.refuseBroken(ctx, fasthttp.ErrBodyTooLarge)
	ctx.SetConnectionClose()
	return ctx.Response.StatusCode()
}

// expectUpload refuses an upload that its header condemns before it is sent.
func (s *Server) expectUpload(ctx *fasthttp.RequestCtx) int {
	if s.refusesUpload(&ctx.Request.Header, hiddenLength(&ctx.Request.Header)) == nil {
		return http.StatusContinue
	}
	fc := s.app.AcquireCtx(ctx)
	defer s.app.ReleaseCtx(fc)
	s.serve(fc) // it finds the same reason, and more to say about it
	ctx.SetConnectionClose()
	return ctx.Response.StatusCode()
}

// twoLengths tells a request whose end others may see elsewhere: one with a
// length and a transfer encoding.
func twoLengths(h *fasthttp.RequestHeader) bool {
	length, encoding := false, false
	for line := range bytes.Lines(h.RawHeaders()) { // the parsed ones say only how long the body was
		name, _, _ := bytes.Cut(line, []byte(":"))
		length = length || bytes.EqualFold(name, []byte("Content-Length"))
		encoding = encoding || bytes.EqualFold(name, []byte("Transfer-Encoding"))
	}
	return length && encoding
}

// refuseBroken answers requests that did not get as far as a handler.
func (s *Server) refuseBroken(ctx *fasthttp.RequestCtx, err error) {
	fc := s.app.AcquireCtx(ctx)
	defer s.app.ReleaseCtx(fc)
	c := s.begin(fc)
	defer c.end()
	if c.conn != nil {
		c.conn.linger = true
	}
	// What the server says of a malformed header quotes it, keys included: it is
	// not kept.
	if c.short && errors.Is(err, fasthttp.ErrBodyTooLarge) {
		c.refuse(fc, errNoRoom())
		return
	}
	c.refuse(fc, s.broken(&ctx.Request.Header, c.cfg, err))
}

func (s *Server) broken(h *fasthttp.RequestHeader, cfg *Config, err error) error {
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		return protocol.ErrHeaderTooLarge()
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		// Of a body without a length the server has forgotten the header by now, key
		// included: whether a stranger sent it is not known any more.
		if h.ContentLength() > 0 {
			if _, err := s.authenticate(h, cfg); err != nil {
				s.metrics.denied.Inc()
				return err
			}
		}
		return protocol.ErrBodyTooLarge(cfg.MaxBody)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return errLate()
	}
	return protocol.ErrInvalid("", "", "The HTTP request is malformed.")
}

// errLate refuses a request whose sender is too slow.
func errLate() *protocol.Error {
	return &protocol.Error{
		Status: http.StatusRequestTimeout, Type: protocol.TypeInvalidRequest,
		Message: "The request did not arrive in time.",
	}
}
