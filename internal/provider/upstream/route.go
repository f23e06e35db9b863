package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/osiris/osiris/internal/provider/upstream/http1"
)

// maxRoutes bounds the addresses that a Client remembers: there is one for each model
// or fewer, unless something is very wrong.
const maxRoutes = 1024

// route is how the server behind an address is called.
type route struct {
	target *http1.Target // nil: by net/http, which knows proxies and international names
	h2     atomic.Bool   // the server refused HTTP/1.1: by net/http as well
}

// routes remembers how addresses are called. Safe for concurrent use.
type routes struct {
	mu sync.RWMutex
	of map[string]*route
}

// find returns the route to an address, made by the function if it is not known.
func (r *routes) find(address string, choose func(string) (*route, error)) (*route, error) {
	r.mu.RLock()
	known := r.of[address]
	r.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	made, err := choose(address)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || len(r.of) >= maxRoutes {
		r.of = make(map[string]*route)
	}
	r.of[address] = made
	return made, nil
}

var errAddress = errors.New("make request: the address is not a URL") // the cause repeats the query, where a key may be

// choose decides how an address is called. What the environment says of proxies does
// not change while a process runs.
func (c *Client) choose(address string) (*route, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errAddress
	}
	through, err := c.proxy(&http.Request{Method: http.MethodPost, URL: u, Header: http.Header{}})
	if err != nil || through != nil {
		return &route{}, nil //nolint:nilerr // net/http asks again and reports the fault
	}
	target, err := http1.NewTarget(u)
	if err != nil && !errors.Is(err, http1.ErrUnsupported) {
		return nil, err
	}
	return &route{target: target}, nil
}

// send sends the request and receives the head of the answer.
func (c *Call) send(ctx context.Context, client *Client) error {
	if client.own == nil {
		return c.sendThrough(ctx, client.other)
	}
	way, err := client.routes.find(c.request.URL, client.choose)
	if err != nil {
		return err
	}
	if way.target != nil && !way.h2.Load() {
		err := c.sendOwn(ctx, client.own, way.target)
		if !errors.Is(err, http1.ErrOtherProtocol) {
			return err
		}
		way.h2.Store(true)
	}
	return c.sendThrough(ctx, client.other)
}

// sendOwn makes the call with the client of our own.
func (c *Call) sendOwn(ctx context.Context, t *http1.Transport, to *http1.Target) error {
	r := http1.Request{Target: to, Method: c.request.method(), Header: c.request.Header, ID: c.request.ID, Body: c.request.Body, Sent: c.watch.sent}
	if err := c.exchange.Do(ctx, t, &r); err != nil {
		return err
	}
	c.Status, c.Header, c.body = c.exchange.Status, c.exchange.Header, &c.exchange
	return nil
}

// sendThrough makes the call with net/http.
func (c *Call) sendThrough(ctx context.Context, t http.RoundTripper) error {
	// Not a child of ctx: a caller that has its answer cancels ctx, and that must not
	// cost the connection.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cutBy(cancel)
	r, err := newRequest(ctx, &c.request, c.watch.sent)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(r)
	if err != nil {
		return err
	}
	c.Status, c.Header, c.body = resp.StatusCode, resp.Header, resp.Body
	return nil
}

func (r *Request) method() string {
	switch {
	case r.Method != "":
		return r.Method
	case r.Body == nil:
		return http.MethodGet
	default:
		return http.MethodPost
	}
}

func newRequest(ctx context.Context, req *Request, sent func()) (*http.Request, error) {
	var body io.Reader
	if req.Body != nil {
		body = bytes.NewReader(req.Body)
	}
	r, err := http.NewRequestWithContext(withSent(ctx, sent), req.method(), req.URL, body)
	if err != nil {
		return nil, errAddress
	}
	if req.Header != nil {
		r.Header = req.Header
	}
	if req.ID != "" {
		r.Header = r.Header.Clone()
		r.Header.Set("X-Client-Request-Id", req.ID)
	}
	return r, nil
}
