package anthropic

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/tools/txtar"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/providertest"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	askText = `{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hi"}]}`
	key     = "sk-ant-secret-0123456789"
)

// roundTrip answers calls without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answerWith(contentType string, body io.Reader) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK,
			Header:     http.Header{"Content-Type": {contentType}},
			Body:       io.NopCloser(body),
			Request:    r,
		}, nil
	}
}

func overTransport(t testing.TB, rt http.RoundTripper, cfg Config) *Provider {
	t.Helper()
	client := upstream.New(upstream.Config{Transport: rt})
	t.Cleanup(client.Close)
	p, err := New(cfg, client)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func overHTTP(t *testing.T, cfg Config, h http.HandlerFunc) *Provider {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	cfg.BaseURL = server.URL + cfg.BaseURL
	client := upstream.New(upstream.Config{})
	t.Cleanup(client.Close)
	p, err := New(cfg, client)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fixtureBody returns what the server of a fixture says.
func fixtureBody(t testing.TB, name string) []byte {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/streams/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(section(archive, "streaming"), []byte("\n\n"))
	return body
}

// TestContentTypesThatLie: what an answer is shows in its first byte.
func TestContentTypesThatLie(t *testing.T) {
	for _, name := range []string{"text", "whole-message"} {
		for _, contentType := range []string{"text/event-stream", "application/json", "text/plain", ""} {
			p := overTransport(t, answerWith(contentType, bytes.NewReader(fixtureBody(t, name))), Config{})
			out := new(providertest.Recorder)
			err := p.Complete(t.Context(), requestOf(t, []byte(askText)), out)
			if err != nil || out.Finished[0] == "" {
				t.Errorf("%s as %q: error %v\n%s", name, contentType, err, out)
			}
		}
	}
}

func TestCallCarriesVersionKeyAndStream(t *testing.T) {
	for _, base := range []string{"", "/", "/v1", "/v1/"} {
		var got *http.Request
		var body []byte
		cfg := Config{BaseURL: base, Key: key, Beta: []string{"a-1", "b-2"}, Header: http.Header{"x-team": {"red"}}}
		p := overHTTP(t, cfg, func(w http.ResponseWriter, r *http.Request) {
			got = r.Clone(context.Background())
			body, _ = io.ReadAll(r.Body)
			w.WriteHeader(http.StatusTeapot)
		})
		if err := p.Complete(t.Context(), requestOf(t, []byte(askText)), new(providertest.Recorder)); err == nil {
			t.Fatal("a teapot answered")
		}
		if got.Method != http.MethodPost || got.URL.Path != "/v1/messages" {
			t.Errorf("base %q: called %s %s", base, got.Method, got.URL.Path)
		}
		for name, want := range map[string]string{
			"anthropic-version": "2023-06-01", "x-api-key": key, "anthropic-beta": "a-1,b-2",
			"x-team": "red", "content-type": "application/json", "authorization": "",
		} {
			if v := got.Header.Get(name); v != want {
				t.Errorf("header %s is %q, want %q", name, v, want)
			}
		}
		if !bytes.Contains(body, []byte(`"stream":true`)) {
			t.Errorf("sent %s", body)
		}
	}
}

func TestNewRefusesABadBaseURL(t *testing.T) {
	for _, base := range []string{"ftp://x", "api.anthropic.com", "http://", "http://user:pa ss@%zz"} {
		if _, err := New(Config{BaseURL: base}, nil); err == nil || strings.Contains(err.Error(), "pa ss") {
			t.Errorf("base %q: %v", base, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	fault := func(kind, message string) string {
		return `{"type":"error","error":{"type":"` + kind + `","message":"` + message + `"},"request_id":"req_1"}`
	}
	tests := []struct {
		name      string
		status    int
		header    http.Header
		body      string
		want      protocol.Error
		retry     bool
		fallback  bool
		operator  bool
		saysAgain time.Duration
	}{
		{name: "invalid", status: 400, body: fault("invalid_request_error", "max_tokens: too big"),
			want: protocol.Error{Status: 400, Type: "invalid_request_error", Message: "max_tokens: too big"}},
		{name: "too long", status: 400, body: fault("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
			want: protocol.Error{Status: 400, Type: "invalid_request_error", Code: "context_length_exceeded"}},
		{name: "no credit", status: 400, body: fault("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
			want: protocol.Error{Status: 502, Type: "server_error"}, fallback: true, operator: true},
		{name: "key", status: 401, body: fault("authentication_error", "invalid x-api-key "+key),
			want: protocol.Error{Status: 502, Type: "server_error"}, fallback: true, operator: true},
		{name: "billing", status: 402, body: fault("billing_error", "pay"),
			want: protocol.Error{Status: 502, Type: "server_error"}, fallback: true, operator: true},
		{name: "permission", status: 403, body: fault("permission_error", "no"),
			want: protocol.Error{Status: 502, Type: "server_error"}, fallback: true, operator: true},
		{name: "model", status: 404, body: fault("not_found_error", "model: claude-x"),
			want: protocol.Error{Status: 404, Type: "invalid_request_error", Code: "model_not_found"}, fallback: true},
		{name: "too large", status: 413, body: "<html>413</html>",
			want: protocol.Error{Status: 413, Type: "invalid_request_error"}},
		{name: "rate", status: 429, header: http.Header{"Retry-After": {"7"}}, body: fault("rate_limit_error", "slow down"),
			want:  protocol.Error{Status: 429, Type: "requests", Code: "rate_limit_exceeded", Message: "slow down"},
			retry: true, fallback: true, saysAgain: 7 * time.Second},
		{name: "internal", status: 500, body: fault("api_error", "Internal server error"),
			want: protocol.Error{Status: 502, Type: "server_error"}, retry: true, fallback: true},
		{name: "timeout", status: 504, body: fault("timeout_error", "late"),
			want: protocol.Error{Status: 504, Type: "server_error", Code: "upstream_timeout"}, retry: true, fallback: true},
		{name: "overloaded", status: 529, header: http.Header{"Retry-After": {"3"}}, body: fault("overloaded_error", "Overloaded"),
			want:  protocol.Error{Status: 503, Type: "service_unavailable_error", Code: "server_is_overloaded"},
			retry: true, fallback: true, saysAgain: 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := overHTTP(t, Config{Key: key}, func(w http.ResponseWriter, _ *http.Request) {
				maps.Copy(w.Header(), tt.header)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			err := p.Complete(t.Context(), requestOf(t, []byte(askText)), new(providertest.Recorder))
			e, ok := errors.AsType[*provider.Error](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			got := *e.Public
			if got.Status != tt.want.Status || got.Type != tt.want.Type || got.Code != tt.want.Code ||
				tt.want.Message != "" && got.Message != tt.want.Message || got.Message == "" {
				t.Errorf("the client sees %+v, want %+v", got, tt.want)
			}
			if e.Retry != tt.retry || e.Fallback != tt.fallback || (e.Operator != "") != tt.operator {
				t.Errorf("retry %v, fallback %v, operator %q", e.Retry, e.Fallback, e.Operator)
			}
			if e.RetryAfter != tt.saysAgain {
				t.Errorf("retry after %s, want %s", e.RetryAfter, tt.saysAgain)
			}
			if strings.Contains(e.Error()+e.Operator, key) {
				t.Error("the key is in the error")
			}
		})
	}
}

// TestPingsResetNoTimer: only content counts as progress.
func TestPingsResetNoTimer(t *testing.T) {
	const ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n"
	const text = "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n"
	const begin = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1}}}\n\n" +
		"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\n"
	for _, tt := range []struct {
		name  string
		first string
		after time.Duration
		phase upstream.Phase
	}{
		{"before the first token", begin, 20 * time.Second, upstream.PhaseFirstToken},
		{"after it", begin + text, 5 * time.Second, upstream.PhaseIdle},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := io.Pipe()
				ctx, stop := context.WithCancel(t.Context())
				go func() {
					_, _ = io.WriteString(w, tt.first)
					for ctx.Err() == nil {
						if _, err := io.WriteString(w, ping); err != nil {
							return
						}
						select {
						case <-time.After(time.Second):
						case <-ctx.Done():
						}
					}
				}()
				rt := roundTrip(func(req *http.Request) (*http.Response, error) {
					context.AfterFunc(req.Context(), func() { _ = r.CloseWithError(context.Cause(req.Context())) })
					return answerWith("text/event-stream", r)(req)
				})
				p := overTransport(t, rt, Config{})
				req := requestOf(t, []byte(askText))
				req.Limits = provider.Limits{FirstToken: 20 * time.Second, Idle: 5 * time.Second}
				began := time.Now()
				err := p.Complete(ctx, req, new(providertest.Recorder))
				late, ok := errors.AsType[*upstream.TimeoutError](err)
				if !ok || late.Phase != tt.phase {
					t.Errorf("error %v, want a time-out of %q", err, tt.phase)
				}
				if took := time.Since(began); took != tt.after {
					t.Errorf("ended after %s, want %s", took, tt.after)
				}
				stop()
			})
		})
	}
}

func TestOmitThinking(t *testing.T) {
	body := bytes.NewReader(fixtureBody(t, "thinking"))
	p := overTransport(t, answerWith("text/event-stream", body), Config{OmitThinking: true})
	out := new(providertest.Recorder)
	if err := p.Complete(t.Context(), requestOf(t, []byte(askText)), out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, "reasoning_content") || !strings.Contains(got, `"reasoning_tokens":21`) {
		t.Errorf("got %s", got)
	}
}
