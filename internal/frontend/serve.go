package frontend

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/osiris/osiris/pkg/protocol"
)

// A handler answers a call, or returns why not: nothing is answered then. One that
// leaves the end of the call to a response body returns errUnfinished.
type handler func(fc *fiber.Ctx, c *call) error

var errUnfinished = errors.New("the body goes on")

// serve answers one request, whatever happens.
func (s *Server) serve(fc *fiber.Ctx) {
	c := s.begin(fc)
	err := s.guarded(fc, c)
	if errors.Is(err, errUnfinished) {
		return
	}
	defer c.end()
	switch {
	case err == nil:
		c.status = fc.Response().StatusCode()
		c.setHeaders(fc)
	case errors.Is(err, errGone):
		c.status, c.err = statusGone, err
		c.conn.cut() // the server below would send an empty 200
	default:
		c.refuse(fc, err)
	}
}

// guarded turns a panic into an error.
func (s *Server) guarded(fc *fiber.Ctx, c *call) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic while answering", "job_id", c.id.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = protocol.ErrInternal()
		}
	}()
	if c.method == fiber.MethodOptions {
		return preflight(fc, c)
	}
	r, param, allowed, err := s.find(c.method, c.path)
	if err != nil {
		if allowed != "" {
			fc.Set(fiber.HeaderAllow, allowed)
		}
		return err
	}
	c.route, c.param = r.name, param
	return r.handler(fc, c)
}

// greet answers those who open the base URL to see whether anybody is there.
func (s *Server) greet(fc *fiber.Ctx, _ *call) error {
	return sendJSON(fc, []byte(`{"object":"service","name":"osiris","message":"This is an OpenAI-compatible API.",`+
		`"endpoints":["/v1/chat/completions","/v1/models","/v1/files","/v1/batches"]}`+"\n"))
}

func knownMethod(method []byte) bool {
	switch string(method) {
	case fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodPost, fasthttp.MethodPut, fasthttp.MethodPatch,
		fasthttp.MethodDelete, fasthttp.MethodConnect, fasthttp.MethodOptions, fasthttp.MethodTrace:
		return true
	}
	return false
}
