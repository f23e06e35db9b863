package upstream

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream/http1"
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
	Proxy          func(*http.Request) (*url.URL, error) // asked once for each address; nil: HTTPS_PROXY and its kin from the environment
	MaxIdlePerHost int                                   // idle connections kept for each server; 0: 512
	MaxAnswer      int64                                 // bytes of one answer, inflated; 0: DefaultMaxAnswer
	Prompt         bool                                  // first words at once, for a wake-up of their own: see socket.Gatherer
	Transport      http.RoundTripper                     // replaces the network, for tests; nil: our own, and net/http where that does not do
}

// Client calls model servers and keeps connections to them. One serves any number
// of adapters and servers; safe for concurrent use.
type Client struct {
	own       *http1.Transport  // nil: all calls go through other
	other     http.RoundTripper // net/http, for what own does not know
	proxy     func(*http.Request) (*url.URL, error)
	routes    routes
	maxAnswer int64
	drains    sync.WaitGroup // rests of answers being read so that their connections can be used again
}

// New returns a Client, to be closed after its last call.
func New(cfg Config) *Client {
	if cfg.MaxAnswer <= 0 {
		cfg.MaxAnswer = DefaultMaxAnswer
	}
	if cfg.Proxy == nil {
		cfg.Proxy = http.ProxyFromEnvironment
	}
	if cfg.MaxIdlePerHost <= 0 {
		cfg.MaxIdlePerHost = 512
	}
	c := &Client{proxy: cfg.Proxy, other: cfg.Transport, maxAnswer: cfg.MaxAnswer}
	if c.other == nil {
		c.own, c.other = ownTransport(&cfg), otherTransport(&cfg)
	}
	return c
}

// Settle waits until the connections of closed calls can be used again, or are
// closed: a quarter of a second at most. No call may be closed meanwhile.
func (c *Client) Settle() { c.drains.Wait() }

// Close waits for the rests of finished answers and closes idle connections. No
// call may be under way.
func (c *Client) Close() {
	c.Settle()
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
	if t, ok := c.other.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Request is one call.
type Request struct {
	Method string          // "": POST with a body, GET without
	URL    string          //
	Header http.Header     // sent as it is, never modified: it may be shared by calls
	ID     string          // sent as X-Client-Request-Id, also instead of one in Header; "": none
	Body   []byte          // not modified, must stay unchanged until the call is closed, which need not keep it
	Limits provider.Limits // zero: no limit
	Model  string          // the client's name for the model, for "no such model"
	// Waits is called before each read of a good answer, which may wait for the
	// server; nil: nothing is. Its error ends the answer and is returned as it is.
	Waits func() error
}

// Do sends req and returns once the server accepted it with a 2xx and headers; the
// caller must Close the call. It blocks until then, until ctx ends (the error is
// context.Cause(ctx)) or a limit is reached. Any other error is a *provider.Error:
// a server that refused, an unreachable one.
func (c *Client) Do(ctx context.Context, req *Request) (*Call, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	call := &Call{client: c, parent: ctx, left: c.maxAnswer, request: *req}
	cut := call.cut
	call.detach = context.AfterFunc(ctx, cut)
	call.watch.start(req.Limits, cut)
	if err := call.send(ctx, c); err != nil {
		err = call.fail(err, call.unreachable)
		call.release()
		return nil, err
	}
	call.watch.sent() // a server may answer before it has read everything
	call.setEncoding()
	if call.Status/100 == 2 {
		call.request.Body = nil // a long answer need not keep a long question
		call.waits = req.Waits
		return call, nil
	}
	defer call.Close()
	return nil, call.refusal()
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
