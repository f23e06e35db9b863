package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"

	"github.com/osiris/osiris/internal/provider"
)

// DefaultMaxAnswer bounds an answer when [Config].MaxAnswer is 0: 64 MB.
const DefaultMaxAnswer = 64 << 20

const (
	maxErrorBody = 64 << 10               // read of a refusal
	maxDrain     = 64 << 10               // read of what follows an answer's end
	drainTime    = 250 * time.Millisecond // waited for it
)

// Config tunes a [Client]. The zero value is good for production.
type Config struct {
	TLS            *tls.Config                           // nil: the system's roots
	Proxy          func(*http.Request) (*url.URL, error) // nil: HTTPS_PROXY and its kin from the environment
	MaxIdlePerHost int                                   // idle connections kept for each server; 0: 512
	MaxAnswer      int64                                 // bytes of one answer, inflated; 0: DefaultMaxAnswer
	Transport      http.RoundTripper                     // replaces the network, for tests; nil: HTTP/1.1 and HTTP/2
}

// Client calls model servers and keeps connections to them. One serves any number
// of adapters and servers; safe for concurrent use.
type Client struct {
	transport http.RoundTripper
	maxAnswer int64
	drains    sync.WaitGroup // rests of answers being read so that their connections can be used again
}

// New returns a Client, to be closed after its last call.
func New(cfg Config) *Client {
	if cfg.MaxAnswer <= 0 {
		cfg.MaxAnswer = DefaultMaxAnswer
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport(&cfg)
	}
	return &Client{transport: cfg.Transport, maxAnswer: cfg.MaxAnswer}
}

func newTransport(cfg *Config) *http.Transport {
	proxy := cfg.Proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	idle := cfg.MaxIdlePerHost
	if idle <= 0 {
		idle = 512
	}
	dialer := &net.Dialer{KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               proxy,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     cfg.TLS,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // a compressed stream arrives in lumps
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: idle,
		IdleConnTimeout:     90 * time.Second,
		WriteBufferSize:     32 << 10,
		ReadBufferSize:      16 << 10,
		// A connection that a firewall has forgotten is found out by a ping.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},

		MaxResponseHeaderBytes: 256 << 10,
	}
}

// Settle waits until the connections of closed calls can be used again, or are
// closed: a quarter of a second at most. No call may be closed meanwhile.
func (c *Client) Settle() { c.drains.Wait() }

// Close waits for the rests of finished answers and closes idle connections. No
// call may be under way.
func (c *Client) Close() {
	c.Settle()
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Request is one call.
type Request struct {
	Method string          // "": POST with a body, GET without
	URL    string          //
	Header http.Header     // sent as it is, never modified: it may be shared by calls
	Body   []byte          // not modified, must stay unchanged until the call is closed
	Limits provider.Limits // zero: no limit
	Model  string          // the client's name for the model, for "no such model"
}

// Do sends req and returns once the server accepted it with a 2xx and headers; the
// caller must Close the call. It blocks until then, until ctx ends (the error is
// context.Cause(ctx)) or a limit is reached. Any other error is a *provider.Error:
// a server that refused, an unreachable one.
func (c *Client) Do(ctx context.Context, req *Request) (*Call, error) {
	call := &Call{client: c, parent: ctx, left: c.maxAnswer, request: req}
	// Not a child of ctx: a caller that has its answer cancels ctx, and that must not
	// cost the connection.
	callCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	call.detach = context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	call.watch.start(req.Limits, cancel)
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { call.watch.sent() }}
	hreq, err := newRequest(httptrace.WithClientTrace(callCtx, trace), req)
	if err != nil {
		call.release()
		return nil, call.unreachable(err)
	}
	resp, err := c.transport.RoundTrip(hreq)
	if err != nil {
		err = call.fail(err, call.unreachable)
		call.release()
		return nil, err
	}
	call.watch.sent() // a server may answer before it has read everything
	call.Status, call.Header, call.body = resp.StatusCode, resp.Header, resp.Body
	call.setEncoding(resp)
	if resp.StatusCode/100 == 2 {
		return call, nil
	}
	defer call.Close()
	return nil, call.refusal()
}

func newRequest(ctx context.Context, req *Request) (*http.Request, error) {
	method := req.Method
	if method == "" {
		method = http.MethodPost
		if req.Body == nil {
			method = http.MethodGet
		}
	}
	var body io.Reader
	if req.Body != nil {
		body = bytes.NewReader(req.Body)
	}
	hreq, err := http.NewRequestWithContext(ctx, method, req.URL, body)
	if err != nil {
		return nil, errors.New("make request: the address is not a URL") // the cause repeats the query, where a key may be
	}
	if req.Header != nil {
		hreq.Header = req.Header
	}
	return hreq, nil
}

// refusal reads what came with a status that is not 2xx.
func (c *Call) refusal() error {
	body, err := io.ReadAll(io.LimitReader(c, maxErrorBody))
	if err != nil && c.parent.Err() != nil {
		return err
	}
	// Even without its body, or with half of it, the status is what the server said.
	details := ParseError(body)
	c.redact(&details)
	return StatusError(c.Status, c.Header, details, c.request.Model)
}
