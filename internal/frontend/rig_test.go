package frontend

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

// fasthttp keeps a clock for ever, and one goroutine for ten seconds after a
// server stopped.
func TestMain(m *testing.M) {
	jobstest.Main(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// rig is a frontend on a real socket, a real queue and a worker with a scripted
// handler.
type rig struct {
	*Server
	t        testing.TB
	nats     *jobstest.NATS
	conn     *jobs.Conn
	addr     string
	url      string
	http     *http.Client
	log      *syncBuffer
	reg      *prometheus.Registry
	served   chan error
	consumer *jobs.Consumer
}

// syncBuffer is a log that tests may read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start runs a frontend and a worker on a queue of one node. A nil handler means
// that no worker runs. Zero fields of cfg are made quick.
func start(t testing.TB, cfg Config, h jobs.Handler) *rig {
	t.Helper()
	return startOn(t, jobstest.One(t), cfg, h)
}

func startOn(t testing.TB, n *jobstest.NATS, cfg Config, h jobs.Handler) *rig {
	t.Helper()
	orDefault(&cfg.Poll, 10*time.Millisecond)
	orDefault(&cfg.Grace, 5*time.Second)
	r := &rig{
		t: t, nats: n, conn: n.Connect(t), log: &syncBuffer{}, reg: prometheus.NewRegistry(), served: make(chan error, 1),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}},
	}
	log := slog.New(slog.NewJSONHandler(r.log, nil))
	var err error
	if r.Server, err = New(t.Context(), cfg, r.conn, log, r.reg); err != nil {
		t.Fatalf("new: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	r.addr = ln.Addr().String()
	r.url = "http://" + r.addr
	go func() { r.served <- r.Listen(ln) }()
	t.Cleanup(r.stop)
	if h != nil {
		r.work(h)
	}
	return r
}

// work starts a worker.
func (r *rig) work(h jobs.Handler) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	var err error
	r.consumer, err = jobs.Consume(ctx, r.conn, jobs.ConsumeConfig{Pool: "default", Slots: 256}, h)
	if err != nil {
		r.t.Fatalf("consume: %v", err)
	}
}

// stop ends both in the order of a real shutdown: frontends first.
func (r *rig) stop() {
	over, cancel := context.WithCancel(context.Background())
	cancel() // nothing that a test left running is worth waiting for
	_ = r.Shutdown(over)
	if err := <-r.served; err != nil {
		r.t.Errorf("listen returned %v", err)
	}
	if r.consumer != nil {
		if err := r.consumer.Stop(over); err != nil {
			r.t.Logf("stop worker: %v", err)
		}
	}
	r.http.CloseIdleConnections()
}

// anyone is the configuration of most tests: no keys.
func anyone() Config { return Config{AllowAnonymous: true} }

const (
	plainRequest  = `{"model":"echo","messages":[{"role":"user","content":"Hello!"}]}`
	streamRequest = `{"model":"echo","stream":true,"messages":[{"role":"user","content":"Hello!"}]}`
)

// post sends body to the chat route and fails the test if nothing comes back.
func (r *rig) post(body string, header ...string) (*http.Response, []byte) {
	r.t.Helper()
	return r.do(http.MethodPost, "/v1/chat/completions", body, header...)
}

func (r *rig) do(method, path, body string, header ...string) (*http.Response, []byte) {
	r.t.Helper()
	resp := r.send(r.t.Context(), method, path, body, header...)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%s %s: read body: %v (after %q)", method, path, err, got)
	}
	return resp, got
}

// send returns when the headers are there.
func (r *rig) send(ctx context.Context, method, path, body string, header ...string) *http.Response {
	r.t.Helper()
	resp, err := r.try(ctx, method, path, body, header...)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

func (r *rig) try(ctx context.Context, method, path, body string, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return r.http.Do(req)
}

// raw opens a connection and writes text to it.
func (r *rig) raw(text string) net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatalf("dial: %v", err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		r.t.Fatalf("write: %v", err)
	}
	return c
}

// readResponse reads the only answer from a raw connection.
func readResponse(t testing.TB, c net.Conn) (*http.Response, []byte) {
	t.Helper()
	resp, body := readNext(t, bufio.NewReader(c))
	return resp, []byte(body)
}

// readNext reads one answer of several.
func readNext(t testing.TB, in *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("read response: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	return resp, string(body)
}

func rawPost(body string) string {
	return fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

type envelope struct {
	Error *struct {
		Message *string `json:"message"`
		Type    *string `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	} `json:"error"`
}

// wantError checks status, content type and the four keys of the envelope, and
// returns the message.
func wantError(t testing.TB, resp *http.Response, body []byte, status int, kind, code string) string {
	t.Helper()
	if resp.StatusCode != status {
		t.Errorf("status %d, want %d (%s)", resp.StatusCode, status, body)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if resp.Header.Get("X-Request-Id") == "" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("service headers are missing: %v", resp.Header)
	}
	var keys struct{ Error map[string]any }
	var e envelope
	if json.Unmarshal(body, &keys) != nil || json.Unmarshal(body, &e) != nil || len(keys.Error) != 4 || e.Error.Message == nil || e.Error.Type == nil {
		t.Fatalf("not an error envelope: %q", body)
	}
	gotCode := ""
	if e.Error.Code != nil {
		gotCode = *e.Error.Code
	}
	if *e.Error.Type != kind || gotCode != code {
		t.Errorf("type %q, code %q, want %q, %q", *e.Error.Type, gotCode, kind, code)
	}
	return *e.Error.Message
}

// chunk is one event as a worker makes it.
func chunk(text string) string {
	return `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"echo","choices":[{"index":0,"delta":{"content":"` +
		text + `"},"logprobs":null,"finish_reason":null}]}` + "\n\n"
}

const finish = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"echo","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}` + "\n\n"

const answer = `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"echo","choices":[{"index":0,"message":{"role":"assistant","content":"hi","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`

var timing = jobs.Timing{Queue: 2 * time.Millisecond, Worker: time.Millisecond, Model: 30 * time.Millisecond}

// speak answers a stream with two words and anything else with one answer.
func speak(_ context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
	out := jobs.Outcome{FinishReason: "stop", Timing: timing}
	if err := a.Opened(timing); err != nil {
		return out, err
	}
	if !a.Job().Stream {
		return out, a.Answer([]byte(answer))
	}
	for _, event := range []string{chunk("Hel"), chunk("lo"), finish} {
		if err := a.Chunk([]byte(event)); err != nil {
			return out, err
		}
	}
	return out, nil
}

// spoken is what a client of speak gets.
var spoken = chunk("Hel") + chunk("lo") + finish + "data: [DONE]\n\n"
