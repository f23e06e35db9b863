package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server accepts connections and hands each to a function, with its number from 1.
type server struct {
	target  *Target
	accepts atomic.Int32
}

func newServer(t testing.TB, serve func(n int32, conn net.Conn, in *bufio.Reader)) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{target: target(t, "http://"+ln.Addr().String()+"/path?q=1")}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			n := s.accepts.Add(1)
			running.Go(func() {
				defer conn.Close()
				serve(n, conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); running.Wait() })
	return s
}

func target(t testing.TB, address string) *Target {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	to, err := NewTarget(u)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// request reads a request and returns its body; false when there is none.
func request(in *bufio.Reader) (string, bool) {
	r, err := http.ReadRequest(in)
	if err != nil {
		return "", false
	}
	body, err := io.ReadAll(r.Body)
	return string(body), err == nil
}

func newTransport(t testing.TB, cfg Config) *Transport {
	t.Helper()
	transport := New(cfg)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// post makes one whole exchange.
func post(t testing.TB, transport *Transport, to *Target, body string) (int, string, error) {
	var e Exchange
	if err := e.Do(t.Context(), transport, &Request{Target: to, Method: http.MethodPost, Body: []byte(body)}); err != nil {
		return 0, "", err
	}
	defer e.Close()
	got, err := io.ReadAll(&e)
	return e.Status, string(got), err
}

func answer(w io.Writer, body string) {
	_, _ = fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func TestConnectionServesAgain(t *testing.T) {
	s := newServer(t, func(_ int32, conn net.Conn, in *bufio.Reader) {
		for {
			body, ok := request(in)
			if !ok {
				return
			}
			answer(conn, "echo "+body)
		}
	})
	transport := newTransport(t, Config{})
	for _, body := range []string{"a", "", strings.Repeat("b", inlineBody), strings.Repeat("c", 8*inlineBody), "d"} {
		if status, got, err := post(t, transport, s.target, body); err != nil || status != 200 || got != "echo "+body {
			t.Fatalf("%d %.20q, %v", status, got, err)
		}
	}
	// The goroutine that wrote a large body may be overtaken by the answer.
	if n := s.accepts.Load(); n > 2 {
		t.Errorf("%d connections", n)
	}
}

func TestConnectionIsGivenUp(t *testing.T) {
	for name, response := range map[string]string{
		"close":          "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"old":            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"more than said": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
	} {
		s := newServer(t, func(_ int32, conn net.Conn, in *bufio.Reader) {
			if _, ok := request(in); ok {
				_, _ = io.WriteString(conn, response)
				_, _ = in.ReadByte() // until the client closes
			}
		})
		transport := newTransport(t, Config{})
		for range 2 {
			if _, got, err := post(t, transport, s.target, "x"); err != nil || got != "ok" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if n := s.accepts.Load(); n != 2 {
			t.Errorf("%s: %d connections for two calls", name, n)
		}
	}
}

// The server closes a connection while a request is on its way: it is sent once more.
func TestCrossingWithClose(t *testing.T) {
	var requests atomic.Int32
	s := newServer(t, func(n int32, conn net.Conn, in *bufio.Reader) {
		for range 2 {
			if _, ok := request(in); !ok {
				return
			}
			if requests.Add(1); n == 1 && requests.Load() == 2 {
				return // without a byte
			}
			answer(conn, "ok")
		}
	})
	transport := newTransport(t, Config{})
	for range 2 {
		if _, got, err := post(t, transport, s.target, "x"); err != nil || got != "ok" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if requests.Load() != 3 || s.accepts.Load() != 2 {
		t.Errorf("%d requests on %d connections, want 3 on 2", requests.Load(), s.accepts.Load())
	}
}

// A connection that was closed while it was idle is not used at all.
func TestClosedWhileIdle(t *testing.T) {
	closed := make(chan struct{}, 2)
	s := newServer(t, func(_ int32, conn net.Conn, in *bufio.Reader) {
		if _, ok := request(in); ok {
			answer(conn, "ok")
			_ = conn.Close()
			closed <- struct{}{}
		}
	})
	transport := newTransport(t, Config{})
	for range 2 {
		if _, got, err := post(t, transport, s.target, "x"); err != nil || got != "ok" {
			t.Fatalf("%q, %v", got, err)
		}
		<-closed
		for !transport.pool.idle[s.target.place()][0].stale() {
		}
	}
}

// Once a byte of the answer came, or on a new connection, nothing is sent again.
func TestNotSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		served int // requests that are answered before
		says   string
	}{
		"new connection": {0, ""},
		"after a byte":   {1, "H"},
	} {
		var requests atomic.Int32
		s := newServer(t, func(_ int32, conn net.Conn, in *bufio.Reader) {
			for i := 0; ; i++ {
				if _, ok := request(in); !ok {
					return
				}
				requests.Add(1)
				if i == c.served {
					_, _ = io.WriteString(conn, c.says)
					return
				}
				answer(conn, "ok")
			}
		})
		transport := newTransport(t, Config{})
		for range c.served {
			if _, _, err := post(t, transport, s.target, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := post(t, transport, s.target, "x"); err == nil {
			t.Errorf("%s: no error", name)
		}
		if int(requests.Load()) != c.served+1 {
			t.Errorf("%s: %d requests", name, requests.Load())
		}
	}
}

// A server may refuse a large request before it has read it, and then read no more.
func TestEarlyRefusal(t *testing.T) {
	done := make(chan struct{})
	s := newServer(t, func(_ int32, conn net.Conn, in *bufio.Reader) {
		_, _ = in.Peek(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nRetry-After: 5\r\nContent-Length: 3\r\n\r\nbig")
		<-done
	})
	defer close(done)
	transport := newTransport(t, Config{})
	var e Exchange
	if err := e.Do(t.Context(), transport, &Request{Target: s.target, Method: "POST", Body: bytes.Repeat([]byte("x"), 32<<20)}); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if body, err := io.ReadAll(&e); e.Status != 413 || e.Header.Get("Retry-After") != "5" || string(body) != "big" || err != nil {
		t.Errorf("got %d %v %q, %v", e.Status, e.Header, body, err)
	}
}

// Rest takes what has arrived, so that the connection serves again without waiting.
func TestRest(t *testing.T) {
	s := newServer(t, func(_ int32, conn net.Conn, in *bufio.Reader) {
		for {
			if _, ok := request(in); !ok {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n")
		}
	})
	transport := newTransport(t, Config{})
	for range 3 {
		var e Exchange
		if err := e.Do(t.Context(), transport, &Request{Target: s.target, Method: "POST", Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 5)
		if n, err := e.Read(p); n != 5 || err != nil {
			t.Fatalf("read %d, %v", n, err)
		}
		if !e.Rest() {
			t.Error("more than what arrived in one piece")
		}
		_ = e.Close()
	}
	if n := s.accepts.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
