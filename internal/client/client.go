package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// DefaultBaseURL is where osiris up listens.
const DefaultBaseURL = "http://127.0.0.1:8080/v1"

// Config says whom to talk to.
type Config struct {
	BaseURL string // with its /v1; DefaultBaseURL
	Key     string // sent as a bearer token; "" sends none
	Agent   string // User-Agent

	// Patience is how long a call is repeated while it gets nowhere; 2 min.
	Patience time.Duration
	// Idle is how long a download, or a stream that can be taken up again, may be
	// silent before the connection counts as broken; 90 s.
	Idle time.Duration
	// Waiting is told before a call is repeated. Nil: nobody is told.
	Waiting func(cause error, wait time.Duration)
}

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client

	reached atomic.Bool // the server has answered
}

// New returns a client, or says what is wrong with the base URL.
func New(cfg Config) (*Client, error) {
	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 2 * time.Minute
	}
	if cfg.Idle <= 0 {
		cfg.Idle = 90 * time.Second
	}
	base, err := url.Parse(strings.TrimRight(cfg.BaseURL, "/"))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("base URL %q is none: write it like %s", cfg.BaseURL, DefaultBaseURL)
	}
	transport := &http.Transport{
		Proxy:              http.ProxyFromEnvironment,
		DisableCompression: true, // a range is one of the bytes as they are stored
		IdleConnTimeout:    time.Minute,
		ForceAttemptHTTP2:  true,
	}
	return &Client{cfg: cfg, base: base, http: &http.Client{Transport: transport}}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// BaseURL returns the address in use.
func (c *Client) BaseURL() string { return c.base.String() }

// request is one call, which may be sent several times.
type request struct {
	method, path string // path below the base URL, escaped
	query        url.Values
	header       http.Header
	body         func() (io.ReadCloser, int64, error) // nil: none
	contentType  string
	key          string        // Idempotency-Key; "" for none
	limit        time.Duration // of one attempt, its body included; 0: none
}

// jsonBody makes a request's body of v.
func jsonBody(v any) (func() (io.ReadCloser, int64, error), error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return func() (io.ReadCloser, int64, error) {
		return io.NopCloser(strings.NewReader(string(text))), int64(len(text)), nil
	}, nil
}

// callLimit bounds calls whose answer is one small object, lookLimit those that can be
// done without.
const (
	callLimit = time.Minute
	lookLimit = 5 * time.Second
)

// call sends r and decodes its answer.
func (c *Client) call(ctx context.Context, r request, into any) error {
	r.limit = callLimit
	p := c.patience()
	for {
		err := c.once(ctx, r, into)
		if err == nil {
			return nil
		}
		if err := p.wait(ctx, err); err != nil {
			return err
		}
	}
}

// once is one attempt of call.
func (c *Client) once(ctx context.Context, r request, into any) error {
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	const most = 64 << 20
	text, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return &brokenError{err}
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s %s: the answer is not what OpenAI's API says: %w", r.method, r.path, err)
	}
	return nil
}

// send makes one attempt. Its error is a *protocol.Error if the server refused, a
// *brokenError if there was no whole answer.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	ctx, cancel := withLimit(ctx, r.limit)
	req, err := c.request(ctx, r)
	if err != nil {
		cancel()
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		cancel()
		if urlErr, ok := errors.AsType[*url.Error](err); ok {
			err = urlErr.Err // the address is named by whoever explains it
		}
		return nil, &brokenError{err}
	}
	c.reached.Store(true)
	resp.Body = &endingBody{resp.Body, cancel}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

func withLimit(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit > 0 {
		return context.WithTimeout(ctx, limit)
	}
	return context.WithCancel(ctx)
}

func (c *Client) request(ctx context.Context, r request) (*http.Request, error) {
	u := c.base.JoinPath(r.path)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if r.body != nil {
		if req.Body, req.ContentLength, err = r.body(); err != nil {
			return nil, err
		}
	}
	maps.Copy(req.Header, r.header)
	set := func(name, value string) {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	set("Content-Type", r.contentType)
	set("Idempotency-Key", r.key)
	set("User-Agent", c.cfg.Agent)
	if c.cfg.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Key)
	}
	return req, nil
}

// endingBody gives its context back with the body.
type endingBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *endingBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// refusal reads an error answer of whatever shape.
func refusal(resp *http.Response) *protocol.Error {
	const most = 64 << 10
	text, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // what came is all there is to tell
	e := &protocol.Error{
		Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, time.Now()),
		NoRetry: resp.Header.Get("X-Should-Retry") == "false",
	}
	told := readFault(text)
	e.Message, e.Type, e.Param, e.Code = told.Message, told.Type, told.Param, told.Code
	if e.Message == "" {
		e.Message = resp.Status
		if plain := strings.TrimSpace(string(text)); plain != "" && !strings.HasPrefix(plain, "<") {
			e.Message += ": " + plain[:min(len(plain), 500)]
		}
	}
	return e
}
