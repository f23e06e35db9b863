package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/openai"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/internal/worker"
	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// rig is a worker and a submitter on a real queue.
type rig struct {
	t      *testing.T
	conn   *jobs.Conn
	client *jobs.Client
	worker *worker.Worker
	log    *syncBuffer
}

func newRig(t *testing.T, n *jobstest.NATS, cfg worker.Config) *rig {
	t.Helper()
	r := &rig{t: t, conn: n.Connect(t), log: &syncBuffer{}}
	var err error
	cfg.ID = "w1"
	if cfg.Slots == 0 {
		cfg.Slots = 8
	}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	if r.worker, err = worker.New(t.Context(), cfg, r.conn, log, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.worker.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if r.client, err = jobs.NewClient(t.Context(), r.conn, jobs.ClientConfig{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.Close)
	return r
}

// submit puts a job for model into the queue.
func (r *rig) submit(model string, stream bool, timeout time.Duration) *jobs.Stream {
	r.t.Helper()
	s, err := r.client.Submit(r.t.Context(), &jobs.Job{
		ID: jobs.NewID(), Tenant: "t", Model: model, Pool: "default", Stream: stream, Created: 1712678400, Timeout: timeout,
		Body: fmt.Appendf(nil, `{"model":%q,"stream":%v,"messages":[{"role":"user","content":"Hello!"}]}`, model, stream),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// result is all that came of a job.
type result struct {
	chunks, answer []byte
	opened         jobs.Timing
	order          []jobs.EventKind
	outcome        jobs.Outcome
	err            *protocol.Error
}

// ask submits a job and waits for its end.
func (r *rig) ask(model string, stream bool) result {
	r.t.Helper()
	return r.await(r.submit(model, stream, patience))
}

// await reads s to its end.
func (r *rig) await(s *jobs.Stream) (res result) {
	r.t.Helper()
	defer s.Close()
	for {
		e, err := s.Next(patience)
		if errors.Is(err, io.EOF) {
			return res
		}
		if err != nil {
			r.t.Fatalf("after events %v: %v\n%s", res.order, err, r.log)
		}
		res.order = append(res.order, e.Kind)
		switch e.Kind {
		case jobs.Opened:
			res.opened, err = e.Opened()
		case jobs.Chunk:
			res.chunks = append(res.chunks, e.Data...)
		case jobs.Answer:
			res.answer = append(res.answer, e.Data...)
		case jobs.Done:
			res.outcome, err = e.Done()
		case jobs.Failed:
			res.err = e.Failed()
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// upstreamServer is a model server and the adapter that calls it.
type upstreamServer struct {
	*httptest.Server
	calls, open atomic.Int64
	provider    provider.Provider
}

func newUpstream(t *testing.T, handle http.HandlerFunc) *upstreamServer {
	t.Helper()
	u := &upstreamServer{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/completions") {
			u.calls.Add(1)
			u.open.Add(1)
			defer u.open.Add(-1)
			if _, err := io.Copy(io.Discard, r.Body); err != nil { // so that the server notices a closed connection
				return
			}
		}
		handle(w, r)
	}))
	client := upstream.New(upstream.Config{})
	t.Cleanup(func() {
		client.Close()
		u.Server.CloseClientConnections()
		u.Server.Close()
	})
	p, err := openai.New(openai.Config{BaseURL: u.URL + "/v1", Key: "sk-very-secret-key"}, client)
	if err != nil {
		t.Fatal(err)
	}
	u.provider = p
	return u
}

// events writes server-sent events and flushes after each.
func events(w http.ResponseWriter, data ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, d := range data {
		_, _ = io.WriteString(w, "data: "+d+"\n\n")
		_ = http.NewResponseController(w).Flush()
	}
}

// delta is a chunk that says text.
func delta(text string) string {
	return fmt.Sprintf(`{"id":"up","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}]}`, text)
}

const (
	finish = `{"id":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	usage  = `{"id":"up","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
	whole  = `{"id":"up","object":"chat.completion","model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},` +
		`"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
)

func speakAs(stream bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if stream {
			events(w, delta("Hel"), delta("lo"), finish, usage, "[DONE]")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, whole)
	}
}

// model is a configured model "m" with a target at each server, in order.
func model(servers ...*upstreamServer) worker.Config {
	return models(map[string][]*upstreamServer{"m": servers})
}

// models are configured models by name, each with a target at each of its
// servers, in order.
func models(served map[string][]*upstreamServer) worker.Config {
	var cfg worker.Config
	for name, servers := range served {
		m := worker.Model{Name: name, Retries: worker.Retries{Attempts: 2, Base: time.Millisecond, Max: 2 * time.Second}}
		for i, u := range servers {
			p := fmt.Sprintf("%s, server %d", name, i)
			cfg.Providers = append(cfg.Providers, worker.ProviderSpec{Name: p, Provider: u.provider})
			m.Targets = append(m.Targets, worker.Target{Provider: p, Model: "up-model"})
		}
		cfg.Models = append(cfg.Models, m)
	}
	return cfg
}

func TestAnswers(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		var always atomic.Bool // the server streams, whatever it was asked
		u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) { speakAs(always.Load())(w, r) })
		rig := newRig(t, n, model(u))
		for _, streaming := range []bool{false, true} {
			always.Store(streaming)
			for _, wanted := range []bool{false, true} {
				t.Run(fmt.Sprintf("server streams %v, client %v", streaming, wanted), func(t *testing.T) {
					check(t, rig.ask("m", wanted), wanted)
				})
			}
		}
	})
}

// check asserts that res is the whole answer "Hello".
func check(t *testing.T, res result, stream bool) {
	t.Helper()
	if res.err != nil {
		t.Fatalf("failed: %v", res.err)
	}
	if res.outcome.Usage.TotalTokens != 5 || res.outcome.FinishReason != "stop" || res.outcome.Target != "up-model" {
		t.Errorf("outcome is %+v", res.outcome)
	}
	body := res.answer
	if len(res.chunks) > 0 {
		acc := protocol.NewAccumulator(protocol.Envelope{ID: "x", Model: "m"})
		err := acc.Add(res.chunks)
		if err == nil {
			body, err = acc.Completion(nil)
		}
		if err != nil {
			t.Fatalf("fold %s: %v", res.chunks, err)
		}
	}
	if stream && len(res.chunks) == 0 {
		t.Error("no chunks for a stream")
	}
	if !bytes.Contains(body, []byte(`"content":"Hello"`)) || bytes.Contains(res.chunks, []byte(`"up"`)) {
		t.Errorf("answer is %s, chunks %s", body, res.chunks)
	}
	first := jobs.Answer // nobody waits for the first token of a whole answer
	if len(res.chunks) > 0 {
		first = jobs.Opened
	}
	begun := slices.Index(res.order, first)
	if begun < 1 || res.order[begun-1] != jobs.Started || first == jobs.Answer && slices.Contains(res.order, jobs.Opened) {
		t.Errorf("events are %v", res.order)
	}
	if len(res.chunks) == 0 {
		return
	}
	if res.opened.Model <= 0 || res.outcome.Timing.Model < res.opened.Model {
		t.Errorf("first token after %v, all after %v", res.opened.Model, res.outcome.Timing.Model)
	}
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// take returns what was written since the last take.
func (b *syncBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.buf.Reset()
	return b.buf.String()
}
