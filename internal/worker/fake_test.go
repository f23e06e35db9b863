package worker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// scripted is a provider whose calls do what the script says, one after the
// other, the last again and again.
type scripted struct {
	mu     sync.Mutex
	calls  []provider.Request // made so far
	at     []time.Time
	script []func(ctx context.Context, out provider.Output) error

	list func(ctx context.Context) ([]provider.Model, error)
}

func (s *scripted) Complete(ctx context.Context, req *provider.Request, out provider.Output) error {
	call := *req
	if req.Chat != nil {
		chat := *req.Chat // its body goes once something was said
		call.Chat = &chat
	}
	s.mu.Lock()
	s.calls = append(s.calls, call)
	s.at = append(s.at, time.Now())
	act := s.script[min(len(s.calls), len(s.script))-1]
	s.mu.Unlock()
	return act(ctx, out)
}

func (s *scripted) Models(ctx context.Context) ([]provider.Model, error) {
	if s.list == nil {
		return nil, errors.New("no list")
	}
	return s.list(ctx)
}

// count is the number of calls made so far.
func (s *scripted) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

type act = func(ctx context.Context, out provider.Output) error

// says streams pieces of text and, unless the last is "...", finishes.
func saying(pieces ...string) act {
	return func(_ context.Context, out provider.Output) error {
		for _, piece := range pieces {
			if piece == "..." {
				return nil
			}
			c := protocol.Chunk{Choices: []protocol.Choice{{Content: []byte(`"` + piece + `"`)}}}
			if err := out.Chunk(&c); err != nil {
				return err
			}
		}
		return out.Chunk(&protocol.Chunk{
			Choices: []protocol.Choice{{FinishReason: "stop"}},
			Usage:   []byte(`{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}`),
		})
	}
}

const wholeAnswer = `{"id":"x","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,` +
	`"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],` +
	`"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`

// answering gives a whole answer.
func answering(body string) act {
	return func(_ context.Context, out provider.Output) error { return out.Answer([]byte(body)) }
}

// failing fails before it said anything.
func failing(e provider.Error) act {
	return func(context.Context, provider.Output) error { return &e }
}

// hanging says nothing until it is told to stop.
func hanging(ctx context.Context, _ provider.Output) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func overloaded() provider.Error {
	return provider.Error{Public: protocol.ErrUpstream("overloaded"), Retry: true, Fallback: true}
}

func limitedFor(d time.Duration) provider.Error {
	return provider.Error{Public: protocol.ErrRateLimit("slow down", d), Retry: true, Fallback: true, RetryAfter: d}
}

// recorder keeps what an attempt emits.
type recorder struct {
	opened []jobs.Timing
	chunks []byte
	number int // of chunk events
	answer []byte
	err    error // returned from now on
}

func (r *recorder) Opened(t jobs.Timing) error {
	r.opened = append(r.opened, t)
	return r.err
}

func (r *recorder) Chunk(sse []byte) error {
	if r.err == nil {
		r.chunks = append(r.chunks, sse...)
		r.number++
	}
	return r.err
}

func (r *recorder) Answer(body []byte) error {
	r.answer = append(r.answer, body...)
	return r.err
}

// newTestWorker is a worker without a queue.
func newTestWorker(t *testing.T, cfg Config) *Worker {
	t.Helper()
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		t.Fatal(err)
	}
	w := &Worker{log: slog.New(slog.DiscardHandler), gate: newGate(), cfg: cfg}
	var err error
	if w.metrics, err = newMetrics(nil, w.gate); err != nil {
		t.Fatal(err)
	}
	w.serving.dirty = make(chan struct{}, 1)
	w.serving.configure(&cfg)
	w.discovery = discovery{log: w.log, changed: w.refresh}
	w.refresh()
	return w
}

// serve is a worker with one model, "m", that each of the providers serves as
// "up-0", "up-1" and so on, in this order.
func serve(t *testing.T, providers ...*scripted) *Worker {
	t.Helper()
	m := Model{Name: "m"}
	cfg := Config{}
	for i, p := range providers {
		name := string(rune('0' + i))
		cfg.Providers = append(cfg.Providers, ProviderSpec{Name: name, Provider: p})
		m.Targets = append(m.Targets, Target{Provider: name, Model: "up-" + name})
	}
	cfg.Models = []Model{m}
	return newTestWorker(t, cfg)
}

// ask runs one job on w.
func ask(ctx context.Context, w *Worker, job jobs.Job) (*recorder, jobs.Outcome, error) {
	r := &recorder{}
	if job.Model == "" {
		job.Model = "m"
	}
	if job.Body == nil {
		job.Body = []byte(`{"model":"` + job.Model + `","messages":[{"role":"user","content":"Hi"}]}`)
	}
	job.Created = 1712678400
	o, err := w.answer(ctx, &job, time.Second, r, func() *slog.Logger { return w.log })
	return r, o, err
}

// logTo makes a logger for a test that reads the log.
func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
