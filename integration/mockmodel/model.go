package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// maxBody bounds a request: the tests send prompts of some megabytes.
const maxBody = 64 << 20

// model answers requests. Safe for concurrent use.
type model struct {
	mux         *http.ServeMux
	open, calls atomic.Int64
}

func newModel() *model {
	m := &model{mux: http.NewServeMux()}
	m.mux.HandleFunc("POST /v1/chat/completions", m.complete)
	m.mux.HandleFunc("GET /v1/models", models)
	m.mux.HandleFunc("GET /stats", m.stats)
	return m
}

// ServeHTTP implements [http.Handler].
func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// request is the part of a chat completion that the model understands.
type request struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	DelayMS  int    `json:"mock_delay_ms"`
	Messages []struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	} `json:"messages"`
}

// words are what the model says: those of the last message, white space kept.
func (r *request) words() []string {
	return strings.SplitAfter(r.Messages[len(r.Messages)-1].Content, " ")
}

func (m *model) complete(w http.ResponseWriter, r *http.Request) {
	m.calls.Add(1)
	m.open.Add(1)
	defer m.open.Add(-1)
	var req request
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&req); err != nil || len(req.Messages) == 0 {
		http.Error(w, `{"error":{"message":"not a chat completion","type":"invalid_request_error","param":null,"code":null}}`, http.StatusBadRequest)
		return
	}
	a := answer{w: w, req: &req, gone: r.Context().Done()}
	if req.Stream {
		a.stream()
	} else {
		a.whole()
	}
}

// object is JSON made by hand.
type object = map[string]any

// answer is one call while it is answered.
type answer struct {
	w    http.ResponseWriter
	req  *request
	gone <-chan struct{}
}

var errGone = errors.New("caller is gone")

// pause waits as long as the request wants before each word.
func (a *answer) pause() error {
	timer := time.NewTimer(time.Duration(a.req.DelayMS) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-a.gone:
		return errGone
	case <-timer.C:
		return nil
	}
}

func (a *answer) whole() {
	words := a.req.words()
	for range words {
		if a.pause() != nil {
			return
		}
	}
	a.w.Header().Set("Content-Type", "application/json")
	message := object{"role": "assistant", "content": strings.Join(words, "")}
	a.write("", object{
		"id": "mock", "object": "chat.completion", "created": time.Now().Unix(), "model": a.req.Model,
		"choices": []object{{"index": 0, "message": message, "logprobs": nil, "finish_reason": "stop"}},
		"usage":   usage(len(words)),
	}, "")
}

func (a *answer) stream() {
	a.w.Header().Set("Content-Type", "text/event-stream")
	words := a.req.words()
	a.chunk(object{"role": "assistant", "content": ""}, nil)
	for _, word := range words {
		if a.pause() != nil {
			return
		}
		a.chunk(object{"content": word}, nil)
	}
	a.chunk(object{}, "stop")
	a.event(object{"choices": []object{}, "usage": usage(len(words))})
	_, _ = io.WriteString(a.w, "data: [DONE]\n\n") // a caller that is gone shows at the next pause
}

func (a *answer) chunk(delta object, finish any) {
	a.event(object{"choices": []object{{"index": 0, "delta": delta, "finish_reason": finish}}})
}

func (a *answer) event(members object) {
	members["id"], members["object"] = "mock", "chat.completion.chunk"
	members["created"], members["model"] = time.Now().Unix(), a.req.Model
	a.write("data: ", members, "\n\n")
	_ = http.NewResponseController(a.w).Flush() // as above
}

func (a *answer) write(before string, value any, after string) {
	text, err := json.Marshal(value)
	if err != nil {
		return // maps of strings and numbers always encode
	}
	_, _ = io.WriteString(a.w, before+string(text)+after) // a caller that is gone shows at the next pause
}

func usage(words int) object {
	return object{"prompt_tokens": words, "completion_tokens": words, "total_tokens": 2 * words}
}

func models(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"mock","object":"model","created":1712678400,"owned_by":"mock"}]}`)
}

func (m *model) stats(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object{"open": m.open.Load(), "calls": m.calls.Load()}) // the test asks again
}
