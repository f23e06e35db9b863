package load_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/osiris/osiris/internal/bench/answer"
	"github.com/osiris/osiris/internal/bench/load"
	"github.com/osiris/osiris/internal/bench/mockmodel"
)

// spoiling is a proxy that changes the body of every third answer.
func spoiling(t *testing.T, base string, spoil func(body []byte) []byte) string {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := http.NewRequestWithContext(r.Context(), r.Method, strings.TrimSuffix(base, "/v1")+r.URL.Path, r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		if n.Add(1)%3 == 0 {
			body = spoil(bytes.Clone(body))
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(func() {
		server.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return server.URL + "/v1"
}

// replace puts one text in the place of another.
func replace(old, by string) func([]byte) []byte {
	return func(body []byte) []byte { return bytes.Replace(body, []byte(old), []byte(by), 1) }
}

// flip changes the byte that is so many places behind the beginning of a text.
func flip(text string, places int) func([]byte) []byte {
	return func(body []byte) []byte {
		i := bytes.Index(body, []byte(text)) + places
		if body[i] == '0' {
			body[i] = '1'
		} else {
			body[i] = '0'
		}
		return body
	}
}

// eventOf returns where the n-th event with text begins and ends, from 0.
func eventOf(body []byte, n int) (from, to int) {
	for i, left := 0, n; ; left-- {
		i += bytes.Index(body[i:], []byte(`"content":"`)) + 1
		if left < 0 { // the first has the role alone
			from = bytes.LastIndex(body[:i], []byte("data:"))
			return from, i + bytes.Index(body[i:], []byte("\n\n")) + 2
		}
	}
}

func dropped(body []byte) []byte {
	from, to := eventOf(body, 2)
	return append(body[:from:from], body[to:]...)
}

func repeated(body []byte) []byte {
	from, to := eventOf(body, 2)
	return append(body[:to:to], body[from:]...)
}

func swapped(body []byte) []byte {
	a, b := eventOf(body, 1)
	_, c := eventOf(body, 2)
	out := append(body[:a:a], body[b:c]...)
	return append(append(out, body[a:b]...), body[c:]...)
}

// foreign puts a piece of another answer into this one.
func foreign(body []byte) []byte {
	from, to := eventOf(body, 1)
	i := from + bytes.Index(body[from:to], []byte(`"content":"`)) + len(`"content":"`)
	copy(body[i:], (answer.Spec{ID: 12345, Pieces: 4, Size: 9}).AppendPiece(nil, 1))
	return body
}

// TestWrongAnswersAreFound changes one thing, in most cases one byte, in a third of the answers.
func TestWrongAnswersAreFound(t *testing.T) {
	base, _ := model(t, mockmodel.Config{})
	for _, c := range []struct {
		name  string
		kind  load.Kind
		spoil func([]byte) []byte
		want  string
	}{
		{"first byte", load.Plain, flip(`"content":".`, 12), "wrong_text"},
		{"last byte", load.Plain, flip(`","refusal"`, -1), "wrong_text"},
		{"a byte more", load.Plain, replace(`","refusal"`, `x","refusal"`), "wrong_text"},
		{"no finish", load.Plain, replace(`"stop"`, `null`), "no_finish"},
		{"no role", load.Plain, replace(`"role":"assistant",`, ``), "no_role"},
		{"usage", load.Plain, replace(`"completion_tokens":4`, `"completion_tokens":5`), "wrong_usage"},
		{"no usage", load.Plain, replace(`"usage"`, `"usages"`), "no_usage"},
		{"no JSON", load.Plain, replace(`}`, ``), "bad_json"},
		{"no text", load.Plain, replace(`"choices"`, `"choice"`), "no_text"},
		{"an error", load.Plain, replace(`"choices"`, `"error":{"message":"x"},"choices"`), "error_body"},
		{"something behind", load.Plain, func(b []byte) []byte { return append(b, '}') }, "bad_json"},

		{"a byte", load.Stream, flip(`"content":".`, 14), "wrong_text"},
		{"dropped", load.Stream, dropped, "wrong_text"},
		{"repeated", load.Stream, repeated, "wrong_text"},
		{"swapped", load.Stream, swapped, "wrong_text"},
		{"foreign", load.Stream, foreign, "wrong_text"},
		{"the last", load.Stream, func(b []byte) []byte { from, to := eventOf(b, 3); return append(b[:from:from], b[to:]...) }, "wrong_text"},
		{"no DONE", load.Stream, replace("data: [DONE]\n\n", ""), "no_done"},
		{"half a DONE", load.Stream, replace("data: [DONE]\n\n", "data: [DO"), "truncated"},
		{"behind DONE", load.Stream, func(b []byte) []byte { return append(b, "data: x\n\n"...) }, "trailing_data"},
		{"no finish", load.Stream, replace(`"finish_reason":"stop"`, `"finish_reason":null`), "no_finish"},
		{"no role", load.Stream, replace(`"role":"assistant",`, ``), "no_role"},
		{"no usage", load.Stream, replace(`"usage"`, `"usages"`), "no_usage"},
		{"usage", load.Stream, replace(`"completion_tokens":4`, `"completion_tokens":3`), "wrong_usage"},
		{"an error", load.Stream, replace("data: [DONE]", `data: {"error":{"message":"x"}}`+"\n\ndata: [DONE]"), "error_event"},
		{"no JSON", load.Stream, replace(`data: {`, `data: `), "bad_json"},
		{"coalesced", load.Stream, func(b []byte) []byte {
			_, to := eventOf(b, 1)
			from, end := eventOf(b, 2)
			i := from + bytes.Index(b[from:end], []byte(`"content":"`)) + len(`"content":"`)
			piece := string(b[i : i+9])
			out := append([]byte(nil), b[:to]...)
			at := bytes.LastIndex(out, []byte(`"},"logprobs"`))
			out = append(append(append([]byte(nil), out[:at]...), piece...), out[at:]...)
			return append(out, b[end:]...)
		}, "wrong_chunks"},
	} {
		t.Run(string(c.kind)+" "+c.name, func(t *testing.T) {
			at := spoiling(t, base, c.spoil)
			r := run(t, load.Config{URL: at, Kind: c.kind, Concurrency: 2, Requests: 60, Tokens: 4, Usage: true})
			if r.Requests != 40 || !maps.Equal(r.Errors, map[string]int64{c.want: 20}) {
				t.Errorf("%d right, errors %v: %s", r.Requests, r.Errors, r.FirstError)
			}
			if c.want == "wrong_chunks" {
				if r := run(t, load.Config{URL: at, Kind: c.kind, Concurrency: 2, Requests: 60, Tokens: 4, Coalesce: true}); r.Requests != 60 {
					t.Errorf("where it may come in other chunks: %+v", r)
				}
			}
		})
	}
}

// TestForeignServers judges by shape what no simulated model says.
func TestForeignServers(t *testing.T) {
	const (
		first = `data: {"choices":[{"index": 0, "delta": {"role": "assistant", "content": "Hé \"you\""}, "finish_reason": null}]}` + "\r\n\r\n"
		more  = ": a comment\r\n\r\n" + `data: {"choices":[{"delta":{"content":"more"},"finish_reason":null}]}` + "\r\n\r\n"
		last  = `data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":7}}` + "\r\n\r\n"
		done  = "data: [DONE]\r\n\r\n"
	)
	for _, c := range []struct {
		name, answer string
		kind         load.Kind
		want         string // kind of failure
		chunks       int64
	}{
		{"whole", `{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"completion_tokens":1}}`, load.Plain, "", 0},
		{"a call", `{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{}]},"finish_reason":"tool_calls"}],"usage":{"completion_tokens":1}}`, load.Plain, "", 0},
		{"silence", `{"choices":[{"message":{"role":"assistant","content":""},"finish_reason":"stop"}],"usage":{"completion_tokens":1}}`, load.Plain, "no_text", 0},
		{"stream", first + more + last + done, load.Stream, "", 2},
		{"thought alone", strings.ReplaceAll(first, `"content"`, `"reasoning_content"`) + last + done, load.Stream, "", 0},
		{"no text", last + done, load.Stream, "no_text", 0},
		{"no usage", first + strings.ReplaceAll(last, "usage", "x") + done, load.Stream, "no_usage", 0},
		{"cut", first + more, load.Stream, "no_done", 0},
		{"a long line", first + strings.ReplaceAll(more, "more", strings.Repeat("x", 100_000)) + last + done, load.Stream, "", 2},
		{"data in two lines", first + "data: {\"choices\":\r\ndata: [{\"delta\":{\"content\":\"x\"}}]}\r\n\r\n" + last + done, load.Stream, "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Long", strings.Repeat("y", 10_000))
				_, _ = io.WriteString(w, c.answer)
			}))
			defer server.Close()
			cfg := load.Config{URL: server.URL + "/v1", Kind: c.kind, Concurrency: 1, Requests: 20, Verify: load.Shape, Usage: true}
			r := run(t, cfg)
			if c.want == "" && (r.Requests != 20 || r.Chunks != 20*c.chunks) || c.want != "" && r.Errors[c.want] != 20 {
				t.Errorf("%+v", r)
			}
			cfg.Verify = load.Off
			if r := run(t, cfg); (r.Requests == 20) != (c.want != "no_done") {
				t.Errorf("without verification: %+v", r)
			}
		})
	}
}

// TestEcho expects its prompt back.
func TestEcho(t *testing.T) {
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		at := bytes.Index(body, []byte("[bench "))
		said := body[at : at+bytes.IndexByte(body[at:], '"')]
		if n.Add(1)%2 == 0 {
			said[len(said)-1]++
		}
		_, _ = io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":"`+string(said)+`"},"finish_reason":"stop"}],"usage":{"completion_tokens":3}}`)
	}))
	defer server.Close()
	r := run(t, load.Config{URL: server.URL + "/v1", Model: "echo", Verify: load.Echo, Concurrency: 1, Requests: 10, PromptBytes: 500})
	if r.Requests != 5 || r.Errors["wrong_text"] != 5 {
		t.Errorf("%+v", r)
	}
}
