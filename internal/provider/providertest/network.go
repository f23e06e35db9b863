package providertest

import (
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
)

// network tests what connections do to an answer.
func (s *Suite) network(t *testing.T) {
	t.Run("complete, and the connection is used again", s.reuse)
	t.Run("many at a time", s.concurrent)
	t.Run("one event of 5 MB", s.bigEvent)
	t.Run("gzip", s.gzip)
	t.Run("ended early", s.endedEarly)
	t.Run("answer above the limit", s.tooLarge)
	t.Run("refused", s.connectionRefused)
}

// answer says a whole answer.
func (s *Suite) answer(w http.ResponseWriter, words ...string) {
	say(w, s.Begin)
	for _, word := range words {
		say(w, s.Text(word))
	}
	say(w, s.End)
}

func (s *Suite) reuse(t *testing.T) {
	var connections atomic.Int32
	var seen sync.Map // by the client's address
	srv := newServer(t, func(_ *server, w http.ResponseWriter, r *http.Request) {
		if _, again := seen.LoadOrStore(r.RemoteAddr, true); !again {
			connections.Add(1)
		}
		s.answer(w, "Hello", " world")
	})
	client := upstream.New(upstream.Config{})
	defer client.Close()
	p := s.New(t, srv.URL+"/v1", client, nil)
	for range 3 {
		r := &Recorder{}
		if err := p.Complete(t.Context(), streamRequest(t), r); err != nil {
			t.Fatal(err)
		}
		if r.Finished[0] == "" || !strings.Contains(r.String(), `" world"`) {
			t.Fatalf("incomplete answer\n%s", r)
		}
		client.Settle()
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for 3 calls in a row, want 1", n)
	}
}

func (s *Suite) concurrent(t *testing.T) {
	srv := newServer(t, func(_ *server, w http.ResponseWriter, _ *http.Request) { s.answer(w, "Hello", " world") })
	p := s.adapter(t, srv.URL, upstream.Config{})
	recorders := make([]Recorder, 32)
	var calls sync.WaitGroup
	for i := range recorders {
		calls.Go(func() {
			if err := p.Complete(t.Context(), streamRequest(t), &recorders[i]); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	for i := range recorders {
		if !slices.Equal(recorders[i].Events, recorders[0].Events) {
			t.Errorf("answers differ\n%s\n%s", &recorders[i], &recorders[0])
		}
	}
}

func (s *Suite) bigEvent(t *testing.T) {
	text := strings.Repeat("żółw 🐢 \\n", 5<<20/18)
	srv := newServer(t, func(_ *server, w http.ResponseWriter, _ *http.Request) { s.answer(w, text) })
	r := &Recorder{}
	if err := s.adapter(t, srv.URL, upstream.Config{}).Complete(t.Context(), streamRequest(t), r); err != nil {
		t.Fatal(err)
	}
	if got := len(r.String()); got < len(text) || r.Finished[0] == "" {
		t.Errorf("%d bytes of %d arrived", got, len(text))
	}
}

// gzip: a server that compresses although it was asked not to.
func (s *Suite) gzip(t *testing.T) {
	srv := newServer(t, func(_ *server, w http.ResponseWriter, r *http.Request) {
		if accepts := r.Header.Get("Accept-Encoding"); strings.Contains(accepts, "gzip") {
			t.Errorf("compression was asked for: %q", accepts)
		}
		w.Header().Set("Content-Encoding", "gzip")
		zw := gzip.NewWriter(w)
		_, _ = io.WriteString(zw, s.Begin+s.Text("Hello")+s.End)
		_ = zw.Close()
	})
	r := &Recorder{}
	if err := s.adapter(t, srv.URL, upstream.Config{}).Complete(t.Context(), streamRequest(t), r); err != nil {
		t.Fatal(err)
	}
	if r.Finished[0] == "" || !strings.Contains(r.String(), `"Hello"`) {
		t.Errorf("incomplete answer\n%s", r)
	}
}

// endedEarly: a server that stops in the middle, in three ways.
func (s *Suite) endedEarly(t *testing.T) {
	ways := map[string]func(http.ResponseWriter){
		"politely": func(http.ResponseWriter) {},
		"cut": func(w http.ResponseWriter) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
		},
		"reset": func(w http.ResponseWriter) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		},
	}
	for how, end := range ways {
		for when, events := range map[string][]string{"before the first token": nil, "in the middle": {s.Begin, s.Text("Hello")}} {
			t.Run(how+" "+when, func(t *testing.T) {
				srv := newServer(t, func(_ *server, w http.ResponseWriter, _ *http.Request) {
					say(w, events...)
					end(w)
				})
				r := &Recorder{}
				err := s.adapter(t, srv.URL, upstream.Config{}).Complete(t.Context(), streamRequest(t), r)
				e, ok := errors.AsType[*provider.Error](err)
				if !ok || e.Public.Status != http.StatusBadGateway || !e.Fallback || e.Retry != (events == nil) {
					t.Errorf("got %s (%v), want a 502, to be retried before the first token", FormatOutcome(err), err)
				}
				if len(r.Finished) > 0 {
					t.Errorf("finish reasons %v out of nowhere", r.Finished)
				}
			})
		}
	}
}

func (s *Suite) tooLarge(t *testing.T) {
	srv := newServer(t, func(_ *server, w http.ResponseWriter, r *http.Request) {
		say(w, s.Begin)
		for r.Context().Err() == nil {
			say(w, s.Text(strings.Repeat("on and on ", 1000)))
		}
	})
	r := &Recorder{}
	err := s.adapter(t, srv.URL, upstream.Config{MaxAnswer: 100_000}).Complete(t.Context(), streamRequest(t), r)
	if e, ok := errors.AsType[*provider.Error](err); !ok || e.Public.Status != http.StatusBadGateway || e.Retry {
		t.Errorf("got %v, want a 502 that is not retried", err)
	}
	if n := len(r.String()); n > 200_000 {
		t.Errorf("%d bytes were handed on", n)
	}
}

func (s *Suite) connectionRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	_ = ln.Close()
	err = s.adapter(t, url, upstream.Config{}).Complete(t.Context(), streamRequest(t), &Recorder{})
	if e, ok := errors.AsType[*provider.Error](err); !ok || e.Public.Status != http.StatusBadGateway || !e.Retry || !e.Fallback {
		t.Errorf("got %v, want a 502 to be retried, here and elsewhere", err)
	}
	if strings.Contains(err.Error(), Key) {
		t.Errorf("the key is in the error: %v", err)
	}
}
