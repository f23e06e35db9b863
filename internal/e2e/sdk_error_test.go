package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/osiris/osiris/pkg/jobs"
)

// sdkFailure is a request that is refused, and what a library must make of it.
type sdkFailure struct {
	status     int // of the model server; 0: the request does not get there
	body       string
	retryAfter string
	request    sdkRequest // model and text have defaults
	key        string     // "": the usual
	want       refused    // message: part of it
}

func sdkFailures(restricted string) map[string]sdkFailure {
	return map[string]sdkFailure{
		"bad value":          {request: sdkRequest{temperature: 3}, want: refused{400, "invalid_request_error", "decimal_above_max_value", "temperature"}},
		"model's bad value":  {status: 400, body: `{"error":{"message":"no such thing","type":"invalid_request_error","param":"stop","code":"unsupported_value"}}`, want: refused{400, "invalid_request_error", "unsupported_value", "no such thing"}},
		"too long":           {status: 400, body: `{"error":{"message":"This model's maximum context length is 8 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`, want: refused{400, "invalid_request_error", "context_length_exceeded", "maximum context"}},
		"wrong key":          {key: "sk-osiris-this-is-not-a-key", want: refused{401, "invalid_request_error", "invalid_api_key", "Incorrect API key"}},
		"forbidden model":    {key: restricted, want: refused{404, "invalid_request_error", "model_not_found", "does not exist or you do not have access"}},
		"unknown model":      {request: sdkRequest{model: "nobody-has-this"}, want: refused{404, "invalid_request_error", "model_not_found", "nobody-has-this"}},
		"model's 404":        {status: 404, body: `{"error":{"message":"no such model","type":"not_found_error","param":null,"code":null}}`, want: refused{404, "invalid_request_error", "model_not_found", "does not exist"}},
		"too large":          {request: sdkRequest{text: strings.Repeat("x", 70<<10)}, want: refused{413, "invalid_request_error", "", "too large"}},
		"rate limit":         {status: 429, retryAfter: "7", body: `{"error":{"message":"slow down","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`, want: refused{429, "tokens", "rate_limit_exceeded", "slow down"}},
		"echo's rate limit":  {request: sdkRequest{model: "echo?error=429&retry_after=7s"}, retryAfter: "7", want: refused{429, "requests", "rate_limit_exceeded", ""}},
		"model's own key":    {status: 401, body: `{"error":{"message":"bad key","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, want: refused{502, "server_error", "", "refused the request of this gateway"}},
		"model's permission": {status: 403, body: `{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}`, want: refused{502, "server_error", "", "refused the request of this gateway"}},
		"echo's 500":         {request: sdkRequest{model: "echo?error=500"}, want: refused{502, "server_error", "", "asked to fail with status 500"}},
		"model's 500":        {status: 500, body: `{"error":{"message":"it broke","type":"server_error","param":null,"code":null}}`, want: refused{502, "server_error", "", "it broke"}},
		"bad gateway":        {status: 502, body: `<html>bad</html>`, want: refused{502, "server_error", "", ""}},
		"overloaded":         {status: 503, retryAfter: "3", body: `{"error":{"message":"busy","type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}}`, want: refused{503, "service_unavailable_error", "server_is_overloaded", "busy"}},
		"timeout":            {status: 504, body: `{}`, want: refused{504, "server_error", "upstream_timeout", ""}},
	}
}

// TestSDKErrors: every class of error reaches every library as what it is, streamed
// and not.
func TestSDKErrors(t *testing.T) {
	t.Parallel()
	s := start(t, options{env: []string{"OSIRIS_FRONTEND_MAX_BODY=65536"}, provider: ""})
	_, restricted, err := s.queue.conn(t).CreateKey(t.Context(), jobs.KeySpec{Name: "echo only", Models: []string{"echo"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range sdkFailures(restricted) {
		s.model.on(name, func(c *upstreamCall) {
			c.Header().Set("Retry-After", tc.retryAfter)
			c.Header().Set("Content-Type", "application/json")
			c.WriteHeader(tc.status)
			c.say(tc.body)
		})
		t.Run(name, func(t *testing.T) { s.failWithSDKs(t, name, &tc) })
	}
	s.idle(t)
}

func (s *system) failWithSDKs(t *testing.T, name string, tc *sdkFailure) {
	t.Helper()
	c := *s.client
	if tc.key != "" {
		c.key = tc.key
	}
	headers := &headerKeeper{next: s.http.Transport}
	c.http = &http.Client{Transport: headers}
	r := tc.request
	if r.model == "" {
		r.model = "up/" + name
	}
	if r.text == "" {
		r.text = hello
	}
	for library, client := range sdks(&c) {
		_, plain := client.plain(t.Context(), r)
		_, streamed := client.stream(t.Context(), r, nil)
		for how, err := range map[string]error{"plain": plain, "stream": streamed} {
			got, ok := client.refused(err)
			part := strings.Contains(got.message, tc.want.message)
			got.message = tc.want.message
			if !ok || !part || got != tc.want {
				t.Errorf("%s, %s: %+v, %v; want %+v", library, how, got, err, tc.want)
			}
		}
		if got := headers.last.Get("Retry-After"); tc.retryAfter != "" && got != tc.retryAfter {
			t.Errorf("%s: Retry-After %q, want %q", library, got, tc.retryAfter)
		}
		if headers.last.Get("X-Request-Id") == "" {
			t.Errorf("%s: an error without a request id", library)
		}
	}
}

// headerKeeper keeps the header of the last answer, which not every library shows.
type headerKeeper struct {
	next http.RoundTripper
	last http.Header
}

func (k *headerKeeper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := k.next.RoundTrip(r)
	if err == nil {
		k.last = resp.Header
	}
	return resp, err
}

// TestSDKErrorInAStream: what breaks after the first token arrives as an error with
// the model's words, after the text that came before.
func TestSDKErrorInAStream(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.model.on("breaks", func(c *upstreamCall) {
		c.begin()
		c.say(`data: {"error":{"message":"out of memory","type":"server_error","param":null,"code":"oom"}}` + "\n\n")
	})
	for library, client := range sdks(s.client) {
		got, err := client.stream(t.Context(), sdkRequest{model: "up/breaks", text: hello}, nil)
		e, ok := client.refused(err)
		if want := (refused{0, "server_error", "oom", "out of memory"}); !ok || e != want {
			t.Errorf("%s: %+v, %v; want %+v", library, e, err, want)
		}
		if len(got.Choices) != 1 || got.Choices[0].Content != "Hello " || got.Choices[0].Finish != "" {
			t.Errorf("%s: %+v", library, fmt.Sprint(got))
		}
	}
	s.idle(t, "breaks")
}
