package http1

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/osiris/osiris/internal/socket"
)

// Config tunes a [Transport]. The zero value is good for production.
type Config struct {
	TLS            *tls.Config   // nil: the system's roots; only its protocols are replaced
	MaxIdlePerHost int           // idle connections kept for each server; 0: 512
	IdleExpiry     time.Duration // how long a connection may be idle; 0: 90 s
	MaxHeader      int           // bytes of a response's header; 0: 256 KB
	Prompt         bool          // see socket.Gatherer

	// Dial opens a connection; nil: a net.Dialer, which tries IPv6 and IPv4.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Transport sends requests and keeps connections. Safe for concurrent use.
type Transport struct {
	cfg      Config
	tls      *tls.Config
	pool     pool
	gatherer socket.Gatherer
	buffers  buffers
}

// New returns a Transport, to be closed after its last exchange.
func New(cfg Config) *Transport {
	if cfg.MaxIdlePerHost <= 0 {
		cfg.MaxIdlePerHost = 512
	}
	if cfg.IdleExpiry <= 0 {
		cfg.IdleExpiry = 90 * time.Second
	}
	if cfg.MaxHeader <= 0 {
		cfg.MaxHeader = 256 << 10
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	own := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.TLS != nil {
		own = cfg.TLS.Clone()
	}
	own.NextProtos = []string{"http/1.1"}
	if own.ClientSessionCache == nil {
		own.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return &Transport{cfg: cfg, tls: own, gatherer: socket.Gatherer{Prompt: cfg.Prompt}, pool: pool{most: cfg.MaxIdlePerHost, expiry: cfg.IdleExpiry}}
}

// CloseIdleConnections closes what is idle, and from now on each connection after its
// exchange.
func (t *Transport) CloseIdleConnections() {
	t.pool.close()
	t.gatherer.Close()
}
