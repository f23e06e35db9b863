package upstream

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/osiris/osiris/internal/provider/upstream/http1"
)

// ownTransport is what nearly all calls use.
func ownTransport(cfg *Config) *http1.Transport {
	return http1.New(http1.Config{TLS: cfg.TLS, MaxIdlePerHost: cfg.MaxIdlePerHost, Prompt: cfg.Prompt})
}

// otherTransport is net/http's, for what http1 does not know: proxies, servers that
// insist on HTTP/2, names in other alphabets.
func otherTransport(cfg *Config) *http.Transport {
	dialer := &net.Dialer{KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               cfg.Proxy,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     cfg.TLS.Clone(), // it adds protocols
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // a compressed stream arrives in lumps
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: cfg.MaxIdlePerHost,
		IdleConnTimeout:     90 * time.Second,
		WriteBufferSize:     32 << 10,
		ReadBufferSize:      16 << 10,
		// A connection that a firewall has forgotten is found out by a ping.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},

		MaxResponseHeaderBytes: 256 << 10,
	}
}

// withSent makes net/http tell when a request was written.
func withSent(ctx context.Context, sent func()) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent() }})
}
