package providertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

// soon is how quickly a server must see that a caller has left: a second, of which a
// machine busy with other tests makes three.
const soon = 3 * time.Second

// patience is how long the suite waits for what must happen.
const patience = 30 * time.Second

// server is a real HTTP server with a handler of one test's own, which tells when a
// request's connection is gone.
type server struct {
	*httptest.Server
	gone chan struct{} // a handler that used hold saw its client leave
}

func newServer(t *testing.T, handler func(s *server, w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{gone: make(chan struct{}, 64)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until it is read, Go's server does not watch the connection
		handler(s, w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// hold keeps a request open until its client leaves.
func (s *server) hold(r *http.Request) {
	<-r.Context().Done()
	s.gone <- struct{}{}
}

// say writes events and flushes them.
func say(w http.ResponseWriter, events ...string) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	}
	for _, e := range events {
		_, _ = io.WriteString(w, e) // a client that left is noticed by hold
	}
	_ = http.NewResponseController(w).Flush()
}

// adapter makes the adapter for a server.
func (s *Suite) adapter(t testing.TB, baseURL string, cfg upstream.Config) provider.Provider {
	t.Helper()
	client := upstream.New(cfg)
	t.Cleanup(client.Close)
	return s.New(t, strings.TrimSuffix(baseURL, "/")+"/v1", client, nil)
}

// streamRequest is a plain question to be answered as a stream.
func streamRequest(t testing.TB) *provider.Request {
	t.Helper()
	chat, err := protocol.ParseRequest([]byte(`{"model":"m","stream":true,"messages":[{"role":"user","content":"Hello"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return &provider.Request{Model: "m", Chat: chat, Stream: true, JobID: "job"}
}

// within fails the test unless c is ready in time.
func within(t *testing.T, limit time.Duration, c <-chan struct{}, what string) {
	t.Helper()
	begin := time.Now()
	select {
	case <-c:
		if took := time.Since(begin); took > limit {
			t.Errorf("%s after %s, not within %s", what, took, limit)
		}
	case <-time.After(patience):
		t.Fatalf("%s: never", what)
	}
}
