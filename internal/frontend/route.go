package frontend

import (
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/protocol"
)

// route is a method on a path and what answers it.
type route struct {
	name    string // in metrics
	path    string // without a slash at the end; {id} is one segment, {rest} at the end all that follows
	method  string // GET answers HEAD too
	handler handler
}

// allRoutes are tried in order, so the busiest comes first.
func (s *Server) allRoutes() []route {
	const get, post, del = fiber.MethodGet, fiber.MethodPost, fiber.MethodDelete
	return []route{
		{name: "chat", path: "/v1/chat/completions", method: post, handler: s.chat},
		{name: "completions", path: "/v1/chat/completions", method: get, handler: s.listCompletions},
		{name: "completion", path: "/v1/chat/completions/{id}", method: get, handler: s.getCompletion},
		{name: "completion", path: "/v1/chat/completions/{id}", method: post, handler: s.updateCompletion},
		{name: "completion", path: "/v1/chat/completions/{id}", method: del, handler: s.deleteCompletion},
		{name: "completion_messages", path: "/v1/chat/completions/{id}/messages", method: get, handler: s.listMessages},
		{name: "completion_cancel", path: "/v1/chat/completions/{id}/cancel", method: post, handler: s.cancelCompletion},
		{name: "batches", path: "/v1/batches", method: post, handler: s.createBatch},
		{name: "batches", path: "/v1/batches", method: get, handler: s.listBatches},
		{name: "batch", path: "/v1/batches/{id}", method: get, handler: s.getBatch},
		{name: "batch_cancel", path: "/v1/batches/{id}/cancel", method: post, handler: s.cancelBatch},
		{name: "models", path: "/v1/models", method: get, handler: s.listModels},
		{name: "model", path: "/v1/models/{rest}", method: get, handler: s.getModel},
		{name: "files", path: filesPath, method: post, handler: s.createFile},
		{name: "files", path: filesPath, method: get, handler: s.listFiles},
		{name: "file", path: filesPath + "/{id}", method: get, handler: s.getFile},
		{name: "file", path: filesPath + "/{id}", method: del, handler: s.deleteFile},
		{name: "file_content", path: filesPath + "/{id}/content", method: get, handler: s.getContent},
		{name: "root", path: "", method: get, handler: s.greet},
		{name: "root", path: "/v1", method: get, handler: s.greet},
	}
}

// find picks the route and returns what stands for {id} or {rest} in the path,
// decoded. When only the method is wrong, allowed lists those that are not.
func (s *Server) find(method, path string) (r route, param, allowed string, err error) {
	clean := cleanPath(path)
	var methods []string
	for _, r := range s.routes {
		param, ok := r.match(clean)
		if !ok {
			continue
		}
		if method == r.method || method == fiber.MethodHead && r.method == fiber.MethodGet {
			return r, param, "", nil
		}
		methods = append(methods, r.method)
	}
	if len(methods) == 0 {
		return route{}, "", "", protocol.ErrUnknownURL(method, path)
	}
	methods = append(methods, fiber.MethodOptions)
	slices.Sort(methods)
	return route{}, "", strings.Join(slices.Compact(methods), ", "), protocol.ErrMethod(method, path)
}

// match reports whether a clean path is the route's, and what its parameter is.
func (r *route) match(path string) (param string, ok bool) {
	before, after, found := strings.Cut(r.path, "{")
	if !found {
		return "", path == r.path
	}
	name, after, _ := strings.Cut(after, "}")
	if len(path) <= len(before)+len(after) || !strings.HasPrefix(path, before) || !strings.HasSuffix(path, after) {
		return "", false
	}
	param = path[len(before) : len(path)-len(after)]
	if name == "id" && strings.Contains(param, "/") {
		return "", false
	}
	param, err := url.PathUnescape(param)
	return param, err == nil
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
