package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/osiris/osiris/internal/bench/answer"
)

// template is a request in the bytes that go over the wire, and what answers it. Only
// the id changes from one request to the next.
type template struct {
	bytes  []byte
	idAt   int
	prompt []byte // the user's message
	spec   answer.Spec
}

// set gives the request an id.
func (t *template) set(id uint64) {
	t.spec.ID = id
	answer.PutID(t.bytes[t.idAt:], id)
	answer.PutID(t.prompt[answer.IDAt(t.prompt):], id)
}

// answerSpec is what answers have in common.
func answerSpec(cfg *Config) answer.Spec { return answer.Spec{Pieces: cfg.Tokens, Size: cfg.Size} }

const filler = " Tell me something about message brokers and language models."

// prompt is the user's message: a mark, and words up to the size asked for.
func prompt(cfg *Config) []byte {
	p := answerSpec(cfg).AppendMark(nil)
	for len(p) < cfg.PromptBytes {
		p = append(p, filler[:min(len(filler), cfg.PromptBytes-len(p))]...)
	}
	return p
}

// bodyOf is the request's JSON.
func bodyOf(cfg *Config, prompt []byte) ([]byte, error) {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	type streamOptions struct {
		Usage bool `json:"include_usage"`
	}
	body := struct {
		Model      string         `json:"model"`
		Messages   []message      `json:"messages"`
		Stream     bool           `json:"stream,omitempty"`
		Options    *streamOptions `json:"stream_options,omitempty"`
		Store      bool           `json:"store,omitempty"`
		Background bool           `json:"background,omitempty"`
	}{
		Model:    cfg.Model,
		Messages: []message{{"system", "You are a helpful assistant."}, {"user", string(prompt)}},
		Stream:   cfg.Kind == Stream, Store: cfg.Store, Background: cfg.Kind == Kept,
	}
	if body.Stream && cfg.Usage {
		body.Options = &streamOptions{true}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	return b, nil
}

// appendLine begins a request with its first line and the header lines that all have.
func appendLine(b []byte, cfg *Config, u *url.URL, method, path string) []byte {
	b = fmt.Appendf(b, "%s %s%s HTTP/1.1\r\nHost: %s\r\n", method, strings.TrimRight(u.EscapedPath(), "/"), path, u.Host)
	if cfg.Key != "" {
		b = fmt.Appendf(b, "Authorization: Bearer %s\r\n", cfg.Key)
	}
	for _, line := range cfg.Header {
		b = fmt.Appendf(b, "%s\r\n", line)
	}
	return b
}

func newTemplate(cfg *Config, u *url.URL) (*template, error) {
	t := &template{prompt: prompt(cfg), spec: answerSpec(cfg)}
	body, err := bodyOf(cfg, t.prompt)
	if err != nil {
		return nil, err
	}
	b := appendLine(nil, cfg, u, "POST", "/chat/completions")
	b = fmt.Appendf(b, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
	t.idAt = len(b) + answer.IDAt(body)
	t.bytes = append(b, body...)
	return t, nil
}

// expected returns the text that a right answer has, using b's memory; nil where any
// text is right.
func (t *template) expected(b []byte, v Verify) []byte {
	switch v {
	case Model:
		return t.spec.AppendText(b[:0])
	case Echo:
		return append(b[:0], bytes.TrimSpace(t.prompt)...)
	}
	return nil
}
