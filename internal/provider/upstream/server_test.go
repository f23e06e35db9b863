package upstream

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
)

// newTLSServer starts a server that speaks both versions of HTTP.
func newTLSServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	return startTLS(t, h, nil)
}

// newHTTP2Server starts a server that refuses HTTP/1.1.
func newHTTP2Server(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	return startTLS(t, h, func(cfg *tls.Config) {
		// Go's own leniency towards clients that offer HTTP/1.1 alone is got round.
		refuse := cfg.Clone()
		refuse.NextProtos = []string{"something-else"}
		cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if !slices.Contains(hello.SupportedProtos, "h2") {
				return refuse, nil
			}
			return nil, nil
		}
	})
}

func startTLS(t *testing.T, h http.HandlerFunc, change func(*tls.Config)) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail on purpose
	srv.StartTLS()
	t.Cleanup(srv.Close)
	if change != nil {
		change(srv.TLS)
	}
	return srv
}

func trusting(srv *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return &tls.Config{RootCAs: roots}
}

// TestTLS: a server that speaks both versions is called by the lean client, whose
// connection serves again.
func TestTLS(t *testing.T) {
	var from []string
	srv := newTLSServer(t, func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.Proto+" "+r.RemoteAddr)
		_, _ = io.Copy(w, r.Body)
	})
	client := New(Config{TLS: trusting(srv)})
	defer client.Close()
	for range 3 {
		c, err := client.Do(t.Context(), &Request{URL: srv.URL, Body: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := c.ReadAll(nil); string(body) != "{}" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		c.Close()
	}
	if len(from) != 3 || from[0] != from[2] || from[0][:9] != "HTTP/1.1 " {
		t.Errorf("requests came from %q, want one connection of HTTP/1.1", from)
	}
}

// TestCancelOverTLS streams from a server that speaks both versions and from one that
// speaks HTTP/2 alone, and cancels: the server sees it.
func TestCancelOverTLS(t *testing.T) {
	for version, start := range map[int]func(*testing.T, http.HandlerFunc) *httptest.Server{1: newTLSServer, 2: newHTTP2Server} {
		t.Run("HTTP/"+strconv.Itoa(version), func(t *testing.T) {
			left := make(chan struct{})
			srv := start(t, func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != version {
					t.Errorf("spoken %s", r.Proto)
				}
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, "one")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				close(left)
			})
			cancelsStream(t, srv, left)
		})
	}
}

func cancelsStream(t *testing.T, srv *httptest.Server, left <-chan struct{}) {
	t.Helper()
	client := New(Config{TLS: trusting(srv)})
	defer client.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	c, err := client.Do(ctx, &Request{URL: srv.URL, Body: []byte("{}"), Limits: provider.Limits{Connect: time.Minute, Idle: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := read(c, func() { cancel(io.ErrNoProgress) }); err != io.ErrNoProgress {
		t.Errorf("got %v, want the cause", err)
	}
	select {
	case <-left:
	case <-time.After(3 * time.Second):
		t.Error("the server did not see within seconds that its caller left")
	}
}

// Whoever has left already is not called for.
func TestCancelledBeforehand(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") }))
	defer srv.Close()
	client := New(Config{})
	defer client.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrNoProgress)
	if _, err := client.Do(ctx, &Request{URL: srv.URL}); err != io.ErrNoProgress {
		t.Errorf("got %v, want the cause", err)
	}
}

// An unknown certificate is for the operator to put right.
func TestCertificateFault(t *testing.T) {
	srv := newTLSServer(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
	client := New(Config{})
	defer client.Close()
	_, err := client.Do(t.Context(), &Request{URL: srv.URL, Body: []byte("{}")})
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || e.Operator == "" || e.Public.Status != http.StatusBadGateway {
		t.Errorf("got %v", err)
	}
}

func TestUnresolvedName(t *testing.T) {
	client := New(Config{})
	defer client.Close()
	_, err := client.Do(t.Context(), &Request{URL: "http://no-such-host.invalid/v1", Body: []byte("{}")})
	if e, ok := errors.AsType[*provider.Error](err); !ok || !e.Retry || !e.Fallback || e.Public.Status != http.StatusBadGateway {
		t.Errorf("got %v", err)
	}
}

// A server that was reached is not said to be out of reach.
func TestReached(t *testing.T) {
	const unreadable = "The model's server sent an answer that could not be read."
	for name, c := range map[string]struct {
		response string
		message  string
		retry    bool
	}{
		"redirect":     {"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n", "The model's server answered with a redirect, which is not followed.", false},
		"large header": {"HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 300<<10) + "\r\n\r\n", unreadable, false},
		"many headers": {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Many: x\r\n", 600) + "\r\n", unreadable, false},
		"no HTTP":      {"SSH-2.0-OpenSSH_9.6\r\n", unreadable, true},
		"nothing":      {"", "The model's server could not be reached.", true},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, c.response) // the client may have read enough
			_ = conn.Close()
		}))
		client := New(Config{})
		_, err := client.Do(t.Context(), &Request{URL: srv.URL, Body: []byte("{}")})
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || e.Public.Status != http.StatusBadGateway || e.Public.Message != c.message || e.Retry != c.retry || !e.Fallback {
			t.Errorf("%s: %+v", name, err)
		}
		client.Close()
		srv.Close()
	}
}

func TestServersWishNotToBeRetried(t *testing.T) {
	e := StatusError(http.StatusServiceUnavailable, http.Header{"X-Should-Retry": {"false"}}, Details{}, "m")
	if e.Retry || !e.Fallback {
		t.Errorf("retry %v, fallback %v", e.Retry, e.Fallback)
	}
}

func TestKeyInTheQueryIsTakenOut(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no such key: "+r.URL.Query().Get("key"), http.StatusBadRequest)
	}))
	defer srv.Close()
	client := New(Config{})
	defer client.Close()
	_, err := client.Do(t.Context(), &Request{URL: srv.URL + "?key=AIza-0123456789abcdef&v=2", Body: []byte("{}")})
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || e.Public.Message != "no such key: ***" {
		t.Errorf("got %v", err)
	}
}

// The connection of a compressed answer serves again, too: what ends the body comes
// after the end of what was compressed.
func TestCompressedAnswerLeavesTheConnection(t *testing.T) {
	var from []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.RemoteAddr)
		w.Header().Set("Content-Encoding", "gzip")
		zw := gzip.NewWriter(w)
		_, _ = io.WriteString(zw, "hello")
		_ = zw.Close()
	}))
	defer srv.Close()
	client := New(Config{})
	defer client.Close()
	for range 2 {
		c, err := client.Do(t.Context(), &Request{URL: srv.URL, Body: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := c.ReadAll(nil); string(body) != "hello" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		c.Close()
	}
	if from[0] != from[1] {
		t.Error("two connections for two calls")
	}
}
