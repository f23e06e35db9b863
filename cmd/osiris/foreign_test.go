package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// foreignAPI is a server with OpenAI's files and batches and nothing of Osiris' own: no
// Idempotency-Key, no ranges, no models by name. Its batch ends as status says.
func foreignAPI(t *testing.T, status, more string) string {
	t.Helper()
	var polls, uploaded atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/files", func(w http.ResponseWriter, r *http.Request) {
		file, header, err := r.FormFile("file")
		if err != nil || r.FormValue("purpose") != "batch" || !strings.HasSuffix(header.Filename, ".jsonl") {
			t.Errorf("%v, %v, %q", err, header, r.FormValue("purpose"))
			return
		}
		text, err := io.ReadAll(file)
		if err != nil || !strings.Contains(string(text), "custom_id") {
			t.Errorf("%s, %v", text, err)
		}
		uploaded.Add(1)
		fmt.Fprint(w, `{"id":"file-abc","object":"file"}`)
	})
	mux.HandleFunc("POST /v1/batches", func(w http.ResponseWriter, _ *http.Request) {
		if uploaded.Load() != 1 {
			t.Errorf("uploaded %d times", uploaded.Load())
		}
		fmt.Fprint(w, `{"id":"batch_abc","object":"batch","status":"validating","errors":null,"request_counts":null}`)
	})
	mux.HandleFunc("GET /v1/batches/batch_abc", func(w http.ResponseWriter, _ *http.Request) {
		if polls.Add(1) == 1 {
			fmt.Fprint(w, `{"id":"batch_abc","object":"batch","status":"in_progress","request_counts":{"total":2,"completed":0,"failed":0}}`)
			return
		}
		fmt.Fprintf(w, `{"id":"batch_abc","object":"batch","status":%q%s}`, status, more)
	})
	mux.HandleFunc("GET /v1/batches", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"object":"list","data":[{"id":"batch_abc","status":%q}]}`, status)
	})
	mux.HandleFunc("GET /v1/files/{id}/content", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"custom_id":"r0","response":{"status_code":200,"body":{"choices":[{"message":{"content":%q}}]}},"error":null}`+"\n", r.PathValue("id"))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}

// A batch of any server with OpenAI's API is submitted, waited for and collected. The
// exit code says how it ended.
func TestBatchElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		more   string
		code   int
		stdout string
		stderr string
	}{
		"completed": {`,"output_file_id":"file-out","request_counts":{"total":2,"completed":2,"failed":0}`, 0, "file-out", "2 of 2 requests answered"},
		"expired":   {`,"output_file_id":"file-out","error_file_id":"file-err","request_counts":{"total":2,"completed":1,"failed":1}`, exitUnanswered, "file-err", "the batch is expired, and 1 request has no answer"},
		"cancelled": {`,"request_counts":{"total":2,"completed":0,"failed":2}`, exitUnanswered, "", "the batch is cancelled, and 2 requests have no answer"},
		"failed":    {`,"errors":{"object":"list","data":[{"code":"token_limit_exceeded","message":"Too many.","param":null,"line":null}]}`, exitUnanswered, "", "token_limit_exceeded: Too many."},
	} {
		t.Run(name, func(t *testing.T) {
			url := foreignAPI(t, name, c.more)
			file := writeFile(t, "q.jsonl", requests(2, ""))
			got := runCommand(t, []string{"OPENAI_BASE_URL=" + url, "OPENAI_API_KEY=k"}, "", "batch", "submit", "--wait", "-o", "-", file)
			if got.code != c.code || !strings.Contains(got.stdout, c.stdout) || !strings.Contains(got.stderr, c.stderr) {
				t.Errorf("%+v", got)
			}
			if got := runCommand(t, nil, "", "batch", "list", "--base-url", url); got.code != 0 || !strings.Contains(got.stdout, "batch_abc  "+name) {
				t.Errorf("%+v", got)
			}
			if got := runCommand(t, nil, "", "batch", "get", "--base-url", url, "batch_abc"); got.code != 0 || !strings.Contains(got.stdout, name) {
				t.Errorf("%+v", got)
			}
		})
	}
	nothing := foreign(t, nil)
	file := writeFile(t, "q.jsonl", requests(1, ""))
	if got := runCommand(t, nil, "", "batch", "submit", "--base-url", nothing, file); got.code != exitFailed || !strings.Contains(got.stderr, "does not offer this") {
		t.Errorf("%+v", got)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Servers say in many shapes that they do not know store, what went wrong and when an
// answer ends.
func TestChatWithOddServers(t *testing.T) {
	whole := func(w http.ResponseWriter, text string) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}]}`, text)
	}
	for name, c := range map[string]struct {
		store  func(w http.ResponseWriter) // answers a request with store; nil: it is ignored
		answer func(w http.ResponseWriter)
		code   int
		stdout string
		stderr string
	}{
		"ignores store": {answer: func(w http.ResponseWriter) { say(w, "Hi"); fmt.Fprint(w, "data: [DONE]\n\n") }, stdout: "Hi\n"},
		"refuses store as pydantic does": {
			store: func(w http.ResponseWriter) {
				w.WriteHeader(http.StatusUnprocessableEntity)
				fmt.Fprint(w, `{"detail":[{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted"}]}`)
			},
			answer: func(w http.ResponseWriter) { say(w, "Hi"); fmt.Fprint(w, "data: [DONE]\n\n") }, stdout: "Hi\n",
		},
		"refuses store in words": {
			store: func(w http.ResponseWriter) {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"error":"unknown field: store"}`)
			},
			answer: func(w http.ResponseWriter) { say(w, "Hi"); fmt.Fprint(w, "data: [DONE]\n\n") }, stdout: "Hi\n",
		},
		"cannot stream": {answer: func(w http.ResponseWriter) { whole(w, "Hi") }, stdout: "Hi\n"},
		"writes no [DONE]": {answer: func(w http.ResponseWriter) {
			say(w, "Hi")
			fmt.Fprint(w, `data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n")
		}, stdout: "Hi\n"},
		"numbers its events, and has nothing else": {answer: func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "id: 1\ndata: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n")
		}, code: 1, stdout: "Hi\n", stderr: "cannot be taken up again"},
		"error as text": {answer: func(w http.ResponseWriter) { w.WriteHeader(400); fmt.Fprint(w, `{"error":"no such thing"}`) }, code: 1, stderr: "no such thing"},
		"error as message": {answer: func(w http.ResponseWriter) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"object":"error","message":"bad thing"}`)
		}, code: 1, stderr: "bad thing"},
		"error in plain":     {answer: func(w http.ResponseWriter) { w.WriteHeader(400); fmt.Fprint(w, `what?`) }, code: 1, stderr: "400 Bad Request: what?"},
		"error as a page":    {answer: func(w http.ResponseWriter) { w.WriteHeader(400); fmt.Fprint(w, `<html>`) }, code: 1, stderr: "osiris: 400 Bad Request\n"},
		"error in a stream":  {answer: func(w http.ResponseWriter) { say(w, "Hi"); fmt.Fprint(w, "data: {\"error\":\"out of memory\"}\n\n") }, code: 1, stdout: "Hi\n", stderr: "out of memory"},
		"something else":     {answer: func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }, code: 1, stderr: "not what OpenAI's API says"},
		"no body in a model": {answer: func(w http.ResponseWriter) { whole(w, "") }},
	} {
		t.Run(name, func(t *testing.T) {
			url := foreign(t, func(w http.ResponseWriter, request map[string]any) {
				if c.store != nil && request["store"] != nil {
					c.store(w)
					return
				}
				c.answer(w)
			})
			got := runCommand(t, []string{"OPENAI_BASE_URL=" + url}, "", "chat", "-m", "x", "Hello!")
			if got.code != c.code || got.stdout != c.stdout || !strings.Contains(got.stderr, c.stderr) {
				t.Errorf("%+v", got)
			}
		})
	}
}
