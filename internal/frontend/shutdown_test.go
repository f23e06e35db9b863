package frontend

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// gate is a handler that says one word, waits for leave, and goes on.
type gate struct {
	running chan struct{}
	leave   chan struct{}
}

func newGate() *gate { return &gate{running: make(chan struct{}, 10), leave: make(chan struct{})} }

func (g *gate) handle(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
	if a.Job().Stream {
		if err := a.Chunk([]byte(chunk("Hel"))); err != nil {
			return jobs.Outcome{}, err
		}
	}
	g.running <- struct{}{}
	select {
	case <-g.leave:
	case <-ctx.Done():
		return jobs.Outcome{}, context.Cause(ctx)
	}
	if !a.Job().Stream {
		return jobs.Outcome{}, a.Answer([]byte(answer))
	}
	return jobs.Outcome{}, a.Chunk([]byte(chunk("lo") + finish))
}

type result struct {
	resp *http.Response
	body string
	err  error
}

// ask sends a request in the background.
func (r *rig) ask(request string) <-chan result {
	out := make(chan result, 1)
	go func() {
		resp, err := r.try(r.t.Context(), http.MethodPost, "/v1/chat/completions", request)
		if err != nil {
			out <- result{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		out <- result{resp, string(body), err}
	}()
	return out
}

// Running answers finish during a shutdown; nobody new gets in, and idle
// connections do not hold it up.
func TestShutdownFinishesAnswers(t *testing.T) {
	g := newGate()
	r := start(t, anyone(), g.handle)
	r.do(http.MethodGet, "/", "") // leaves an idle connection
	r.raw("")                     // and one that never says anything
	stream, plain := r.ask(streamRequest), r.ask(plainRequest)
	<-g.running
	<-g.running
	if err := r.Ready(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- r.Shutdown(t.Context()) }()
	eventually(t, "not ready", func() bool { return r.Ready() != nil })
	eventually(t, "nobody new gets in", func() bool {
		_, err := r.try(t.Context(), http.MethodGet, "/", "")
		return err != nil
	})
	close(g.leave)
	if got := <-stream; got.err != nil || got.body != spoken {
		t.Errorf("stream: %v %q", got.err, got.body)
	}
	got := <-plain
	if got.err != nil || got.body != answer {
		t.Fatalf("json: %v %q", got.err, got.body)
	}
	if !got.resp.Close {
		t.Error("an answer while draining keeps its connection")
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// When the time is over, streams end with an error event and the others with 503.
func TestShutdownEndsAnswers(t *testing.T) {
	g := newGate()
	r := start(t, anyone(), g.handle)
	stream := r.send(t.Context(), http.MethodPost, "/v1/chat/completions", streamRequest) // begun: it has its headers
	defer stream.Body.Close()
	plain := r.ask(plainRequest)
	<-g.running
	<-g.running
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
	body, err := io.ReadAll(stream.Body)
	if want := chunk("Hel") + string((&call{}).errShutdown().AppendEvent(nil)) + protocol.Done; err != nil || string(body) != want {
		t.Errorf("stream: %v %q", err, body)
	}
	got := <-plain
	if got.err != nil {
		t.Fatal(got.err)
	}
	wantError(t, got.resp, []byte(got.body), http.StatusServiceUnavailable, "service_unavailable_error", "")
	if got.resp.Header.Get("Retry-After") != "1" {
		t.Errorf("retry-after %q", got.resp.Header.Get("Retry-After"))
	}
}

// A client that sends half a request does not hold a shutdown up for ever.
func TestShutdownCutsTheRest(t *testing.T) {
	cfg := anyone()
	cfg.Grace = 50 * time.Millisecond
	r := start(t, cfg, nil)
	c := r.raw("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
	eventually(t, "the server reads", func() bool {
		used := false
		r.conns.mu.Lock()
		for c := range r.conns.conns {
			used = used || c.used.Load()
		}
		r.conns.mu.Unlock()
		return used
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
	if b, err := bufio.NewReader(c).ReadByte(); err == nil {
		t.Errorf("read %q", b)
	}
}

// What cannot be is refused when it is set, and the old values go on.
func TestConfig(t *testing.T) {
	r := start(t, anyone(), nil)
	before := r.cfg.Load()
	err := r.SetConfig(Config{MaxBody: -1, KeepAlive: -1})
	if err == nil || !strings.Contains(err.Error(), "MaxBody") || !strings.Contains(err.Error(), "KeepAlive") {
		t.Errorf("%v", err)
	}
	if r.cfg.Load() != before {
		t.Error("a faulty configuration was taken")
	}
}
