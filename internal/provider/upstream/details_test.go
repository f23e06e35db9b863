package upstream

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseError(t *testing.T) {
	for body, want := range map[string]Details{
		`{"error":{"message":"m","type":"t","param":"p","code":"c"}}`: {Message: "m", Type: "t", Param: "p", Code: "c"},
		`{"error":{"message":"m","code":429}}`:                        {Message: "m", Code: "429", Status: 429},
		`{"error":{"message":"m","code":null,"type":null}}`:           {Message: "m"},
		`{"error":"m"}`: {Message: "m"},
		`{"error":"m","error_type":"validation"}`:                            {Message: "m", Type: "validation"},
		`[{"error":{"message":"m"}}]`:                                        {Message: "m"},
		`{"object":"error","message":"m","code":400}`:                        {Message: "m", Code: "400", Status: 400},
		`{"type":"error","error":{"type":"overloaded_error","message":"m"}}`: {Message: "m", Type: "overloaded_error"},
		`{"detail":"m"}`:                       {Message: "m"},
		`{"detail":[{"msg":"m","loc":["a"]}]}`: {Message: "m"},
		`"m"`:                                  {Message: "m"},
		"\xef\xbb\xbf \n{\"error\":{\"message\":\"m\"}}":                            {Message: "m"},
		`{"error":{"message":"Provider returned error","metadata":{"raw":"busy"}}}`: {Message: "Provider returned error: busy"},
		"upstream\n connect error":                                                  {Message: "upstream connect error"},
		`<html>no</html>`:                                                           {},
		`{"error":{"mess`:                                                           {},
		`{"error":[[[[[[[["m"]]]]]]]]}`:                                             {},
		``:                                                                          {},
		`null`:                                                                      {},
		`{"error":{}}`:                                                              {},
	} {
		if got := ParseError([]byte(body)); got != want {
			t.Errorf("%s: got %+v, want %+v", body, got, want)
		}
	}
}

func FuzzParseError(f *testing.F) {
	f.Add([]byte(`{"error":{"message":"m","code":429,"metadata":{"raw":"x"}}}`))
	f.Add([]byte(`[{"detail":[{"msg":1}]}]`))
	f.Add([]byte("\xff<"))
	f.Fuzz(func(t *testing.T, body []byte) {
		d := ParseError(body)
		e := EventError(d, "m")
		if e.Public == nil || e.Public.Message == "" || e.Public.Type == "" || e.Public.Status < 400 || e.Public.Status > 599 {
			t.Errorf("%q becomes %+v", body, e.Public)
		}
		if !utf8.ValidString(d.Message) || len(d.Message) > 16<<10 {
			t.Errorf("%q has the message %q", body, d.Message)
		}
		if e.Public.Status == http.StatusUnauthorized || e.Public.Status == http.StatusForbidden {
			t.Errorf("%q: the client is blamed for our key", body)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		ms, after string
		want      time.Duration
	}{
		{"", "", 0},
		{"", "7", 7 * time.Second},
		{"", "1.5", 1500 * time.Millisecond},
		{"250", "7", 250 * time.Millisecond},
		{"x", "7", 7 * time.Second},
		{"", "Sun, 01 Nov 2026 12:00:30 GMT", 30 * time.Second},
		{"", "Sun, 01 Nov 2026 11:00:00 GMT", 0},
		{"", "-3", 0},
		{"", "NaN", 0},
		{"", "1e300", maxRetryAfter},
		{"", "soon", 0},
	} {
		h := http.Header{"Retry-After-Ms": {c.ms}, "Retry-After": {c.after}}
		if got := RetryAfter(h, now); got != c.want {
			t.Errorf("retry-after-ms %q, retry-after %q: got %s, want %s", c.ms, c.after, got, c.want)
		}
	}
	if got := RetryAfter(nil, now); got != 0 {
		t.Errorf("without headers: %s", got)
	}
}

// What a server says about an account is the operator's business, whatever the status.
func TestAccountFaults(t *testing.T) {
	for body, status := range map[string]int{
		`{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}`: 429,
		`{"error":{"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}`:             400,
		`{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}`:                                     401,
	} {
		e := StatusError(status, nil, ParseError([]byte(body)), "m")
		if e.Public.Status != http.StatusBadGateway || e.Operator == "" || e.Retry || !e.Fallback {
			t.Errorf("%s: got %d, operator %q, retry %v", body, e.Public.Status, e.Operator, e.Retry)
		}
		if strings.Contains(strings.ToLower(e.Public.Message), "key") {
			t.Errorf("the client reads %q", e.Public.Message)
		}
	}
}

func TestContextLength(t *testing.T) {
	for _, message := range []string{
		"This model's maximum context length is 8192 tokens. However, your messages resulted in 8227 tokens.",
		"prompt is too long: 220000 tokens > 200000 maximum",
		"the request exceeds the available context size. try increasing the context size or enable context shift",
		"The input token count exceeds the maximum number of tokens allowed (1048576).",
	} {
		if e := StatusError(400, nil, Details{Message: message}, "m"); e.Public.Code != "context_length_exceeded" || e.Public.Status != 400 {
			t.Errorf("%q becomes %+v", message, e.Public)
		}
	}
}

// What the client did wrong is told as the server told it.
func TestClientFaultsPassThrough(t *testing.T) {
	d := ParseError([]byte(`{"error":{"message":"Unsupported parameter: 'max_tokens'","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}`))
	e := StatusError(400, nil, d, "m")
	if e.Public.Message != "Unsupported parameter: 'max_tokens'" || e.Public.Param != "max_tokens" || e.Public.Code != "unsupported_parameter" || e.Retry || e.Fallback {
		t.Errorf("got %+v", e)
	}
}
