package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// knownErrors is every error that is not about the content of a request.
var knownErrors = []struct {
	err                       *Error
	status                    int
	typ, param, code, message string
}{
	{ErrNoKey(), 401, "invalid_request_error", "", "", "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the API from your browser and are prompted for a username and password. You can obtain an API key from the operator of this server."},
	{ErrBadKey(MaskKey("sk-osiris-0123456789abcdefghijwxyz")), 401, "invalid_request_error", "", "invalid_api_key", "Incorrect API key provided: sk-osiri**********************wxyz. You can obtain an API key from the operator of this server."},
	{ErrModelNotFound("x"), 404, "invalid_request_error", "", "model_not_found", "The model `x` does not exist or you do not have access to it."},
	{ErrUnknownURL("POST", "/v1/foo"), 404, "invalid_request_error", "", "", "Invalid URL (POST /v1/foo)"},
	{ErrMethod("GET", "/v1/x"), 405, "invalid_request_error", "", "method_not_supported", "Not allowed to GET on /v1/x"},
	{ErrBadJSON(), 400, "invalid_request_error", "", "", "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have trouble figuring out how to fix this, please contact the operator of this server.)"},
	{ErrBodyTooLarge(1000), 413, "invalid_request_error", "", "", "The request body is too large: the limit is 1000 bytes."},
	{ErrUnsupportedEncoding("br"), 415, "invalid_request_error", "", "", "Unsupported content encoding: 'br'."},
	{ErrHeaderTooLarge(), 431, "invalid_request_error", "", "", "The request header is too large."},
	{ErrInternal(), 500, "server_error", "", "", "The server had an error while processing your request. Sorry about that!"},
	{ErrOverloaded(time.Second), 503, "service_unavailable_error", "", "server_is_overloaded", "The engine is currently overloaded, please try again later"},
	{ErrUnavailable("away", time.Second), 503, "service_unavailable_error", "", "", "away"},
	{ErrTimeout("late"), 504, "server_error", "", "upstream_timeout", "late"},
	{ErrUpstream("broken"), 502, "server_error", "", "", "broken"},
	{ErrRateLimit("slower", time.Minute), 429, "requests", "", "rate_limit_exceeded", "slower"},
	{ErrWorkerLost(), 503, "server_error", "", "", "The worker that was generating this answer stopped before it was complete. Please retry your request."},
	{ErrInvalid("p", "c", "%d%%", 5), 400, "invalid_request_error", "p", "c", "5%"},
}

func TestKnownErrors(t *testing.T) {
	for _, k := range knownErrors {
		if k.err.Status != k.status || k.err.Type != k.typ || k.err.Param != k.param || k.err.Code != k.code || k.err.Message != k.message {
			t.Errorf("got %+v\nwant %+v", *k.err, k)
		}
	}
	for _, err := range []*Error{ErrOverloaded(time.Second), ErrUnavailable("", time.Second), ErrRateLimit("", time.Second)} {
		if err.RetryAfter != time.Second {
			t.Errorf("%s: retry after %v", err.Code, err.RetryAfter)
		}
	}
}

// TestErrorsQuoteLittle: what a caller sent cannot fill an error.
func TestErrorsQuoteLittle(t *testing.T) {
	long := strings.Repeat("ż", 100_000)
	errs := []*Error{ErrModelNotFound(long), ErrUnknownURL(long, long), ErrMethod(long, long), ErrUnsupportedEncoding(long), ErrBadKey(MaskKey(long))}
	for _, params := range []string{
		`"service_tier":"` + long + `"`, `"n":1` + strings.Repeat("0", 10_000), `"temperature":9` + strings.Repeat("0", 10_000),
		`"metadata":{"` + long + `":1}`, `"x":{"` + long + `":1,"` + long + `":1}`,
	} {
		_, err := ParseRequest([]byte(withParams(params)))
		errs = append(errs, AsError(err))
	}
	for _, err := range errs {
		if size := len(err.AppendJSON(nil)); err.Status >= 500 || size > 4096 {
			t.Errorf("%.100s: status %d, %d bytes", err.Message, err.Status, size)
		}
	}
}

func TestMaskKey(t *testing.T) {
	for secret, want := range map[string]string{
		"":                                   "",
		"short":                              "*****",
		"sk-osiris-0123456789012":            strings.Repeat("*", 23),
		"sk-osiris-01234567890123":           "sk-osiri************0123",
		"sk-" + strings.Repeat("x", 100_000): "sk-xxxxx************************xxxx",
	} {
		if got := MaskKey(secret); got != want {
			t.Errorf("%.40s: %s instead of %s", secret, got, want)
		}
	}
}

func TestErrorEnvelope(t *testing.T) {
	for _, c := range []struct {
		err  *Error
		want string
	}{
		{&Error{Message: "m", Type: "t"}, `{"error":{"message":"m","type":"t","param":null,"code":null}}`},
		{&Error{Message: "a\"\n\u2028<b>", Type: "t", Param: "p[0].\"q\"", Code: "c", RetryAfter: 5, NoRetry: true}, "{\"error\":{\"message\":\"a\\\"\\n\u2028<b>\",\"type\":\"t\",\"param\":\"p[0].\\\"q\\\"\",\"code\":\"c\"}}"},
		{&Error{Message: "a\xffb", Type: "t"}, "{\"error\":{\"message\":\"a\ufffdb\",\"type\":\"t\",\"param\":null,\"code\":null}}"},
	} {
		if got := string(c.err.AppendJSON([]byte("x"))); got != "x"+c.want {
			t.Errorf("got %s\nwant %s", got, c.want)
		}
		if got := string(c.err.AppendEvent(nil)); got != "data: "+c.want+"\n\n" || !strings.HasPrefix(got, `data: {"error":`) {
			t.Errorf("event %s", got)
		}
	}
}

func TestErrorQueueEncoding(t *testing.T) {
	var errs []*Error
	for _, k := range knownErrors {
		errs = append(errs, k.err)
	}
	errs = append(errs, &Error{Status: 429, Message: "żółw \"\n", Type: "tokens", Param: "p", Code: "c", RetryAfter: 1500 * time.Millisecond, NoRetry: true})
	for _, want := range errs {
		b, err := want.Wrap(errors.New("secret")).MarshalJSON()
		if err != nil || strings.Contains(string(b), "secret") {
			t.Fatalf("%s, %v", b, err)
		}
		got, err := DecodeError(b)
		if err != nil || *got != *want {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
	b, err := json.Marshal(&Error{Status: 500, Message: "a\xff", Type: "t", RetryAfter: time.Microsecond})
	if want := "{\"status\":500,\"message\":\"a\ufffd\",\"type\":\"t\",\"retry_after_ms\":1}"; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

func TestDecodeErrorRefusesRubbish(t *testing.T) {
	for _, b := range []string{``, `null`, `[]`, `{}`, `{"status":"500","type":"t"}`, `{"status":0,"type":"t"}`, `{"status":500}`, `{"status":500,"type":"t"} x`} {
		if e, err := DecodeError([]byte(b)); err == nil {
			t.Errorf("%s: %+v", b, e)
		}
	}
	e, err := DecodeError([]byte(`{"status":500,"type":"t","new":[1],"retry_after_ms":9223372036854775807}`))
	if err != nil || e.RetryAfter < time.Hour {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestAsError(t *testing.T) {
	base := ErrOverloaded(time.Second)
	wrapped := base.Wrap(context.Canceled)
	if base.Unwrap() != nil || wrapped.Unwrap() != context.Canceled || !errors.Is(wrapped, context.Canceled) {
		t.Error("Wrap changed its receiver or lost the cause")
	}
	if got := AsError(fmt.Errorf("submit: %w", wrapped)); got != wrapped {
		t.Errorf("%v", got)
	}
	if got := AsError(errors.Join(errors.New("x"), base)); got != base {
		t.Errorf("%v", got)
	}
	if AsError(nil) != nil {
		t.Error("not nil for nil")
	}
	if got := AsError(context.Canceled); got.Status != 500 || !errors.Is(got, context.Canceled) || strings.Contains(string(got.AppendJSON(nil)), "canceled") {
		t.Errorf("%+v", got)
	}
	if want := base.Message + ": context canceled"; wrapped.Error() != want || base.Error() != base.Message {
		t.Errorf("%s", wrapped.Error())
	}
}

// TestSyntaxCauseQuotesNothing: the cause goes to logs, where no prompt may be.
func TestSyntaxCauseQuotesNothing(t *testing.T) {
	for _, body := range []string{`{"secret":"secret" "secret"`, `{"secret":secret}`, "{\"secret\":\"secret\xff\"}", `{"secret":{"secret":01`} {
		_, err := ParseRequest([]byte(body))
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", body, err)
		}
	}
}
