package frontend

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

// Streamed and collected, on every shape of the queue.
func TestAnswer(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := startOn(t, n, anyone(), speak)
		t.Run("stream", func(t *testing.T) {
			resp, body := r.post(streamRequest)
			if resp.StatusCode != http.StatusOK || string(body) != spoken {
				t.Fatalf("%d %q", resp.StatusCode, body)
			}
			for name, want := range map[string]string{
				"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", "X-Accel-Buffering": "no",
				"Openai-Version": "2020-10-01", "Access-Control-Allow-Origin": "*", "Server-Timing": "queue;dur=2, worker;dur=1, model;dur=30",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
		t.Run("json", func(t *testing.T) {
			resp, body := r.post(plainRequest)
			if resp.StatusCode != http.StatusOK || string(body) != answer {
				t.Fatalf("%d %q", resp.StatusCode, body)
			}
			if got := resp.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
			if got := resp.Header.Get("Server-Timing"); !regexp.MustCompile(`^queue;dur=[0-9.]+, worker;dur=1, model;dur=30$`).MatchString(got) {
				t.Errorf("server timing %q", got)
			}
			if resp.Header.Get("Openai-Processing-Ms") == "" || !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "retry-after-ms") {
				t.Errorf("headers %v", resp.Header)
			}
		})
	})
}

// The log has one line per request, and nothing of the prompt.
func TestLogLine(t *testing.T) {
	r := start(t, anyone(), speak)
	resp, _ := r.post(plainRequest, "X-Client-Request-Id", "mine", "Authorization", "Bearer sk-secret")
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var lines []map[string]any
	for line := range strings.Lines(r.log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m["msg"] == "request" {
			lines = append(lines, m)
		}
	}
	if len(lines) != 1 {
		t.Fatalf("%d lines: %s", len(lines), r.log)
	}
	for name, want := range map[string]any{
		"method": "POST", "path": "/v1/chat/completions", "status": 200., "model": "echo", "class": "interactive",
		"tenant": "anonymous", "client_request_id": "mine", "job_id": strings.TrimPrefix(resp.Header.Get("X-Request-Id"), "chatcmpl-"), "level": "INFO",
	} {
		if lines[0][name] != want {
			t.Errorf("%s is %v, want %v", name, lines[0][name], want)
		}
	}
	for _, secret := range []string{"Hello!", "sk-secret", "refusal"} {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}
