package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/osiris/osiris/internal/service"
)

// TestWebhooks creates, lists, tests and deletes a webhook while osiris up runs, and
// is told of a background completion; the receiver verifies what it gets by the SDK.
func TestWebhooks(t *testing.T) {
	dir := t.TempDir()
	environ := []string{"OSIRIS_WEBHOOKS_ALLOW_PRIVATE=true", "OSIRIS_DATA_DIR=" + dir}
	var status atomic.Int32
	status.Store(http.StatusOK)
	var secret atomic.Value
	events := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		client := openai.NewClient(option.WithAPIKey("unused"), option.WithWebhookSecret(secret.Load().(string)))
		event, err := client.Webhooks.Unwrap(body, r.Header)
		if err != nil {
			t.Errorf("unwrap: %v", err)
		}
		events <- event.Type + " " + event.Data.ID
		w.WriteHeader(int(status.Load()))
	}))
	defer receiver.Close()
	osiris := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		o, e := newOutput(), newOutput()
		if code := run(t.Context(), append([]string{"webhooks"}, args...), service.IO{Environ: environ, Stdout: o, Stderr: e}); code != want {
			t.Errorf("webhooks %v: exit code %d, want %d: %s%s", args, code, want, o, e)
		}
		return o.String(), e.String()
	}
	p := startUp(t, environ)
	welcome := p.stdout.await(t, "Try it")
	if out, _ := osiris(0, "list"); !strings.Contains(out, "no webhooks") {
		t.Errorf("list of none: %s", out)
	}
	address := receiver.URL + "/hook?token=in-the-address"
	out, log := osiris(0, "create", address, "--event", "batch.completed,batch.failed", "--event", "chat.completion.completed")
	made := strings.TrimSpace(out)
	secret.Store(made)
	if !regexp.MustCompile(`^whsec_[A-Za-z0-9+/]{43}=$`).MatchString(made) || strings.Contains(log, made) {
		t.Errorf("create: %d bytes of secret, %s", len(made), log)
	}
	id := regexp.MustCompile(`wh_\w+`).FindString(log)
	out, _ = osiris(0, "list")
	for _, want := range []string{id, "default", address, "batch.completed,batch.failed,chat.completion.completed", "active"} {
		if !strings.Contains(out, want) {
			t.Errorf("the list lacks %q: %s", want, out)
		}
	}
	if strings.Contains(out, "whsec_") {
		t.Error("the list shows a secret")
	}
	if out, _ := osiris(0, "test", id); !regexp.MustCompile(`^delivered: status 200 in \d+`).MatchString(out) {
		t.Errorf("test: %s", out)
	}
	if got := <-events; got != "webhook.test "+id {
		t.Errorf("event of the test: %s", got)
	}

	body := strings.Replace(plain, "{", `{"background":true,`, 1)
	code, answer := complete(t, regexp.MustCompile(`http://\S+/v1`).FindString(welcome), keyPattern.FindString(welcome), body)
	if code != http.StatusOK {
		t.Fatalf("background: %d %s", code, answer)
	}
	select {
	case got := <-events:
		if want := "chat.completion.completed " + regexp.MustCompile(`chatcmpl-\w+`).FindString(answer); got != want {
			t.Errorf("event %s, want %s", got, want)
		}
	case <-time.After(time.Minute):
		t.Error("nobody was told of the background completion")
	}

	status.Store(http.StatusTeapot)
	if _, log := osiris(1, "test", id); !strings.Contains(log, "answered with status 418") {
		t.Errorf("test of a receiver that refuses: %s", log)
	}
	if out, _ := osiris(0, "delete", id); !strings.Contains(out, id) {
		t.Errorf("delete: %s", out)
	}
	if _, log := osiris(1, "test", id); !strings.Contains(log, "no such webhook") {
		t.Errorf("test of a deleted one: %s", log)
	}
	if _, log := osiris(1, "delete", id); !strings.Contains(log, "no such webhook") {
		t.Errorf("delete of a deleted one: %s", log)
	}
	p.stop(t)
	if all := p.stderr.String(); strings.Contains(all, "whsec_") || strings.Contains(all, "in-the-address") || !strings.Contains(all, "status=418") {
		t.Errorf("log: %s", all)
	}
}

func TestBadWebhookCommands(t *testing.T) {
	environ := []string{"OSIRIS_DATA_DIR=" + t.TempDir()}
	for _, tt := range []struct {
		want int
		text string
		args []string
	}{
		{2, "https://", []string{"create", "http://example.com/"}},
		{2, "public", []string{"create", "https://127.0.0.1/"}},
		{2, "public", []string{"create", "https://[::ffff:10.0.0.1]/"}},
		{2, "URL", []string{"create", "https://"}},
		{2, "url", []string{"create"}},
		{2, "flag", []string{"create", "https://example.com", "--events", "batch.completed"}},
		{2, "id", []string{"delete"}},
		{2, "id", []string{"test"}},
	} {
		stderr := newOutput()
		code := run(t.Context(), append([]string{"webhooks"}, tt.args...), service.IO{Environ: environ, Stdout: io.Discard, Stderr: stderr})
		if code != tt.want || !strings.Contains(stderr.String(), tt.text) {
			t.Errorf("%v: exit code %d, %s; want %d and %q", tt.args, code, stderr, tt.want, tt.text)
		}
	}
}
