package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	modelKey  = "sk-model-server"        // what the model server wants to see
	modelList = "plain-model,org/m.1/v2" // what it says it has
)

// script answers one call.
type script func(c *upstreamCall)

// model is a model server under a test's control. A name without a script repeats the
// last message. Safe for concurrent use.
type model struct {
	*httptest.Server

	mu      sync.Mutex
	scripts map[string]script
	calls   map[string]*callCount
	changed chan struct{} // closed at each change of a count, and replaced
}

// callCount is what is known of the calls for one name.
type callCount struct {
	open, begun int
	body        []byte // of the latest
}

// upstreamCall is a call at the model server.
type upstreamCall struct {
	http.ResponseWriter
	*http.Request
	body []byte
	chat upstreamChat
}

// upstreamChat is the part of a request that scripts look at.
type upstreamChat struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	DelayMS  int    `json:"mock_delay_ms"`
	Messages []struct {
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
}

func newModel(t *testing.T) *model {
	t.Helper()
	m := &model{scripts: map[string]script{}, calls: map[string]*callCount{}, changed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", m.complete)
	mux.HandleFunc("GET /v1/models", m.list)
	m.Server = httptest.NewServer(mux)
	t.Cleanup(m.Close)
	return m
}

// on sets what is said to calls for name.
func (m *model) on(name string, s script) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scripts[name] = s
}

func (m *model) complete(w http.ResponseWriter, r *http.Request) {
	c := &upstreamCall{ResponseWriter: w, Request: r}
	var err error
	if c.body, err = io.ReadAll(r.Body); err != nil {
		return // the worker is gone already
	}
	if err := json.Unmarshal(c.body, &c.chat); err != nil || len(c.chat.Messages) == 0 || r.Header.Get("Authorization") != "Bearer "+modelKey {
		http.Error(w, `{"error":{"message":"not a chat completion","type":"invalid_request_error","param":null,"code":null}}`, http.StatusBadRequest)
		return
	}
	s := m.begin(c)
	defer m.count(c.chat.Model, func(n *callCount) { n.open-- })
	s(c)
}

// begin counts a call in and finds its script.
func (m *model) begin(c *upstreamCall) script {
	m.count(c.chat.Model, func(n *callCount) {
		n.open++
		n.begun++
		n.body = c.body
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.scripts[c.chat.Model]; s != nil {
		return s
	}
	return repeatWords
}

func (m *model) count(name string, change func(n *callCount)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calls[name] == nil {
		m.calls[name] = &callCount{}
	}
	change(m.calls[name])
	close(m.changed)
	m.changed = make(chan struct{})
}

// seen returns what is known of the calls for name, and a channel that is closed when
// any of it has changed.
func (m *model) seen(name string) (callCount, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.calls[name]; n != nil {
		return *n, m.changed
	}
	return callCount{}, m.changed
}

// await waits until the calls for name are as wanted.
func (m *model) await(t *testing.T, limit time.Duration, name, what string, wanted func(n callCount) bool) {
	t.Helper()
	late := time.After(limit)
	for {
		n, changed := m.seen(name)
		if wanted(n) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s: %s: not within %v: %d calls are open, %d began", name, what, limit, n.open, n.begun)
		}
	}
}

// awaitOpen waits until a call for name is there.
func (m *model) awaitOpen(t *testing.T, name string) {
	t.Helper()
	m.await(t, patience, name, "a call arrives", func(n callCount) bool { return n.open > 0 })
}

// awaitNone waits until no call for name is open any more, as long as that may take.
func (m *model) awaitNone(t *testing.T, name string) {
	t.Helper()
	m.await(t, soon, name, "no call is open", func(n callCount) bool { return n.open == 0 })
}

func (m *model) list(w http.ResponseWriter, _ *http.Request) {
	var models []string
	for id := range strings.SplitSeq(modelList, ",") {
		models = append(models, fmt.Sprintf(`{"id":%q,"object":"model","created":1712678400,"owned_by":"mock"}`, id))
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"object":"list","data":[`+strings.Join(models, ",")+`]}`)
}

// say sends text at once. Whether it arrives is not the model's concern.
func (c *upstreamCall) say(text ...string) {
	if c.Header().Get("Content-Type") == "" {
		kind := "application/json"
		if c.chat.Stream {
			kind = "text/event-stream"
		}
		c.Header().Set("Content-Type", kind)
	}
	for _, s := range text {
		_, _ = io.WriteString(c.ResponseWriter, s)
	}
	_ = http.NewResponseController(c.ResponseWriter).Flush()
}

// Header is that of the answer.
func (c *upstreamCall) Header() http.Header { return c.ResponseWriter.Header() }

// gone waits until whoever called has left.
func (c *upstreamCall) gone() { <-c.Context().Done() }

// pause waits, and reports whether the caller is still there.
func (c *upstreamCall) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.Context().Done():
		return false
	}
}

// cut breaks the connection.
func (c *upstreamCall) cut() {
	if conn, _, err := http.NewResponseController(c.ResponseWriter).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// text is the last message.
func (c *upstreamCall) text() string {
	var s string
	_ = json.Unmarshal(c.chat.Messages[len(c.chat.Messages)-1].Content, &s) // parts have no text to repeat
	return s
}

// repeatWords says the last message again, a word at a time if streamed, with the
// request's own pause before each.
func repeatWords(c *upstreamCall) {
	words := strings.SplitAfter(c.text(), " ")
	delay := time.Duration(c.chat.DelayMS) * time.Millisecond
	if !c.chat.Stream {
		if delay == 0 || c.pause(time.Duration(len(words))*delay) {
			c.say(wholeAnswer(c.text(), len(words)))
		}
		return
	}
	c.say(chunkOf(`{"role":"assistant","content":""}`, "null"))
	for _, word := range words {
		if delay > 0 && !c.pause(delay) {
			return
		}
		c.say(chunkOf(`{"content":`+quoted(word)+`}`, "null"))
	}
	c.say(chunkOf(`{}`, `"stop"`), usageChunk(len(words)), "data: [DONE]\n\n")
}

func wholeAnswer(text string, words int) string {
	return fmt.Sprintf(`{"id":"mock","object":"chat.completion","created":1712678400,"model":"mock","choices":[{"index":0,"message":{"role":"assistant","content":%s},"logprobs":null,"finish_reason":"stop"}],"usage":%s}`,
		quoted(text), usageOf(words))
}

func chunkOf(delta, finish string) string {
	return `data: {"id":"mock","object":"chat.completion.chunk","created":1712678400,"model":"mock","choices":[{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":` + finish + "}]}\n\n"
}

func usageChunk(words int) string {
	return `data: {"id":"mock","object":"chat.completion.chunk","created":1712678400,"model":"mock","choices":[],"usage":` + usageOf(words) + "}\n\n"
}

func usageOf(words int) string {
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, words, words, 2*words)
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(b)
}
