package upstream

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
)

// TestProxy: what must go through a proxy does, also a stream, its connection is used
// again, and its end is seen there when the caller leaves.
func TestProxy(t *testing.T) {
	left := make(chan struct{})
	var from []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.RemoteAddr)
		if r.URL.String() != "http://model.invalid/v1" || r.Header.Get("X-Key") != "k" {
			t.Errorf("the proxy was asked for %s with %v", r.URL, r.Header)
		}
		_, _ = io.Copy(w, r.Body)
		if len(from) < 3 {
			return
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := New(Config{Proxy: func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() != "model.invalid" {
			return nil, nil
		}
		return at, nil
	}})
	defer client.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	req := &Request{URL: "http://model.invalid/v1", Header: http.Header{"X-Key": {"k"}}, Body: []byte("{}"), Limits: provider.Limits{FirstToken: time.Minute}}
	for range 2 {
		c, err := client.Do(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := c.ReadAll(nil); string(body) != "{}" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		c.Close()
	}
	c, err := client.Do(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := read(c, func() { cancel(io.ErrNoProgress) }); err != io.ErrNoProgress {
		t.Errorf("got %v, want the cause", err)
	}
	<-left
	if from[0] != from[1] {
		t.Errorf("two connections to the proxy for two calls")
	}
}

// TestRoutes: which client calls what.
func TestRoutes(t *testing.T) {
	client := New(Config{Proxy: func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() == "proxied" {
			return &url.URL{Scheme: "http", Host: "proxy"}, nil
		}
		return nil, nil
	}})
	defer client.Close()
	for address, own := range map[string]bool{
		"http://direct/": true, "https://direct:8443/v1?x=y": true, "http://[::1]:80/": true,
		"http://proxied/": false, "https://proxied/": false, "http://żółw.pl/": false,
	} {
		for range 2 {
			way, err := client.routes.find(address, client.choose)
			if err != nil || (way.target != nil) != own {
				t.Errorf("%s: %+v, %v", address, way, err)
			}
		}
	}
	for i := range 3 * maxRoutes {
		if _, err := client.routes.find("http://direct/"+strconv.Itoa(i), client.choose); err != nil || len(client.routes.of) > maxRoutes {
			t.Fatalf("%d addresses are remembered, %v", len(client.routes.of), err)
		}
	}
}

func TestAddressesRefused(t *testing.T) {
	client := New(Config{})
	defer client.Close()
	for _, address := range []string{"", "http://h/\x7f?key=0123456789abcdef", "ftp://h/", "http://h/?key=0123456789abcdef x"} {
		_, err := client.Do(t.Context(), &Request{URL: address, Body: []byte("{}")})
		if err == nil || len(err.Error()) > 200 || strings.Contains(err.Error(), "0123456789abcdef") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
