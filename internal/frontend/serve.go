package frontend

import (
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/osiris/osiris/pkg/protocol"
)

// A handler answers a call, or returns why not: nothing is answered then. One that
// leaves the end of the call to a response body returns errUnfinished.
type handler func(fc *fiber.Ctx, c *call) error

var errUnfinished = errors.New("the body goes on")

// route is a path and what answers it, by method.
type route struct {
	name    string // in metrics
	path    string // without a slash at the end
	rest    bool   // what follows path belongs to it
	method  string // GET answers HEAD too
	handler handler
}

func (s *Server) allRoutes() []route {
	return []route{
		{name: "chat", path: "/v1/chat/completions", method: fiber.MethodPost, handler: s.chat},
		{name: "models", path: "/v1/models", method: fiber.MethodGet, handler: s.listModels},
		{name: "model", path: "/v1/models/", rest: true, method: fiber.MethodGet, handler: s.getModel},
		{name: "root", path: "", method: fiber.MethodGet, handler: s.greet},
		{name: "root", path: "/v1", method: fiber.MethodGet, handler: s.greet},
	}
}

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
	r, err := s.find(c.method, c.path)
	if err != nil {
		if e := protocol.AsError(err); e.Status == fiber.StatusMethodNotAllowed {
			fc.Set(fiber.HeaderAllow, r.method+", "+fiber.MethodOptions)
		}
		return err
	}
	c.route = r.name
	return r.handler(fc, c)
}

// find picks the route. On a wrong method it returns the route that was meant.
func (s *Server) find(method, path string) (route, error) {
	clean := cleanPath(path)
	for _, r := range s.routes {
		if clean != r.path && (!r.rest || !strings.HasPrefix(clean, r.path) || len(clean) == len(r.path)) {
			continue
		}
		if method == r.method || method == fiber.MethodHead && r.method == fiber.MethodGet {
			return r, nil
		}
		return r, protocol.ErrMethod(method, path)
	}
	return route{}, protocol.ErrUnknownURL(method, path)
}

// cleanPath forgives what people do to base URLs: slashes at the end, and /v1 more
// than once.
func cleanPath(path string) string {
	path = strings.TrimRight(path, "/")
	for strings.HasPrefix(path, "/v1/v1/") || path == "/v1/v1" {
		path = path[len("/v1"):]
	}
	return path
}

// pathRest returns what follows prefix in the path, decoded.
func pathRest(path, prefix string) (string, error) {
	rest := strings.TrimPrefix(cleanPath(path), prefix)
	return url.PathUnescape(rest)
}

// greet answers those who open the base URL to see whether anybody is there.
func (s *Server) greet(fc *fiber.Ctx, _ *call) error {
	return sendJSON(fc, []byte(`{"object":"service","name":"osiris","message":"This is an OpenAI-compatible API.",`+
		`"endpoints":["/v1/chat/completions","/v1/models"]}`+"\n"))
}

func knownMethod(method []byte) bool {
	switch string(method) {
	case fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodPost, fasthttp.MethodPut, fasthttp.MethodPatch,
		fasthttp.MethodDelete, fasthttp.MethodConnect, fasthttp.MethodOptions, fasthttp.MethodTrace:
		return true
	}
	return false
}
