package providertest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
)

// refusalCase is a status that a server refuses with, and what it must mean.
type refusalCase struct {
	status          int
	header          http.Header
	public          int
	code            string
	retry, fallback bool
	operator        bool
	after           time.Duration
}

func refusalCases() []refusalCase {
	return []refusalCase{
		{status: 400, public: 400},
		{status: 413, public: 413},
		{status: 422, public: 400},
		{status: 401, public: 502, fallback: true, operator: true},
		{status: 402, public: 502, fallback: true, operator: true},
		{status: 403, public: 502, fallback: true, operator: true},
		{status: 404, public: 404, code: "model_not_found", fallback: true},
		{status: 408, public: 504, retry: true, fallback: true},
		{status: 409, public: 502, retry: true, fallback: true},
		{status: 429, header: http.Header{"Retry-After": {"7"}}, public: 429, retry: true, fallback: true, after: 7 * time.Second},
		{status: 429, header: http.Header{"Retry-After-Ms": {"250"}, "Retry-After": {"1"}}, public: 429, retry: true, fallback: true, after: 250 * time.Millisecond},
		{status: 500, public: 502, retry: true, fallback: true},
		{status: 502, public: 502, retry: true, fallback: true},
		{status: 503, public: 503, retry: true, fallback: true},
		{status: 504, public: 504, retry: true, fallback: true},
		{status: 529, public: 503, code: "server_is_overloaded", retry: true, fallback: true},
	}
}

// failures tests what refusals mean, in the server's dialect and without words.
func (s *Suite) failures(t *testing.T) {
	for _, c := range refusalCases() {
		bodies := map[string]string{
			"dialect": s.Refusal(c.status, "It was the owl in the attic."),
			"html":    "<html><head><title>Bad</title></head><body><h1>nginx</h1></body></html>",
			"empty":   "",
			"cut":     `{"error":{"message":"It was`,
		}
		for name, body := range bodies {
			t.Run(fmt.Sprintf("%d/%s", c.status, name), func(t *testing.T) {
				e := s.refused(t, &c, body)
				c.check(t, e)
				if clientsFault := c.public == 400; clientsFault && name == "dialect" && !strings.Contains(e.Public.Message, "owl") {
					t.Errorf("the server's explanation is lost: %q", e.Public.Message)
				}
				if strings.ContainsAny(e.Public.Message, "<>") {
					t.Errorf("HTML for the client: %q", e.Public.Message)
				}
			})
		}
	}
	t.Run("key in the message", s.secretMessage)
	t.Run("redirect", s.redirect)
}

// refused calls a server that answers like c.
func (s *Suite) refused(t *testing.T, c *refusalCase, body string) *provider.Error {
	t.Helper()
	srv := newServer(t, func(_ *server, w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), c.header)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.WriteHeader(c.status)
		_, _ = io.WriteString(w, body)
	})
	r := &Recorder{}
	err := s.adapter(t, srv.URL, upstream.Config{}).Complete(t.Context(), streamRequest(t), r)
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || len(r.Events) > 0 {
		t.Fatalf("got %v and %d events, want a *provider.Error and none", err, len(r.Events))
	}
	return e
}

func (c *refusalCase) check(t *testing.T, e *provider.Error) {
	t.Helper()
	if e.Public.Status != c.public || c.code != "" && e.Public.Code != c.code {
		t.Errorf("client sees %d %q, want %d %q", e.Public.Status, e.Public.Code, c.public, c.code)
	}
	if e.Retry != c.retry || e.Fallback != c.fallback {
		t.Errorf("retry %v, fallback %v, want %v, %v", e.Retry, e.Fallback, c.retry, c.fallback)
	}
	if c.operator && e.Operator == "" {
		t.Error("no line for the operator")
	}
	if e.RetryAfter != c.after || e.Public.RetryAfter != c.after {
		t.Errorf("retry after %s and %s for the client, want %s", e.RetryAfter, e.Public.RetryAfter, c.after)
	}
	if e.Public.Message == "" || e.Public.Type == "" {
		t.Errorf("client sees message %q, type %q", e.Public.Message, e.Public.Type)
	}
}

// secretMessage: a key that a server repeats goes neither to the client nor into logs.
func (s *Suite) secretMessage(t *testing.T) {
	for _, status := range []int{400, 401, 500} {
		e := s.refused(t, &refusalCase{status: status}, s.Refusal(status, "Incorrect API key provided: "+Key+"."))
		if all := e.Public.Message + e.Operator + e.Error(); strings.Contains(all, Key) {
			t.Errorf("%d: the key leaks: %s", status, all)
		}
	}
}

// redirect: a key goes to the configured server only.
func (s *Suite) redirect(t *testing.T) {
	elsewhere := newServer(t, func(*server, http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	srv := newServer(t, func(_ *server, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	err := s.adapter(t, srv.URL, upstream.Config{}).Complete(t.Context(), streamRequest(t), &Recorder{})
	if e, ok := errors.AsType[*provider.Error](err); !ok || e.Operator == "" || e.Public.Status != http.StatusBadGateway {
		t.Errorf("got %v, want a 502 and a line for the operator", err)
	}
}
