package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestBatchJSON(t *testing.T) {
	b := Batch{
		ID: "batch_abc123", Endpoint: "/v1/chat/completions", InputFileID: "file-abc123", CompletionWindow: "24h",
		Status: BatchValidating, CreatedAt: 1711471533, ExpiresAt: 1711557933,
	}
	const young = `{"id":"batch_abc123","object":"batch","endpoint":"/v1/chat/completions","model":null,"errors":null,` +
		`"input_file_id":"file-abc123","completion_window":"24h","status":"validating","output_file_id":null,"error_file_id":null,` +
		`"created_at":1711471533,"in_progress_at":null,"expires_at":1711557933,"finalizing_at":null,"completed_at":null,` +
		`"failed_at":null,"expired_at":null,"cancelling_at":null,"cancelled_at":null,` +
		`"request_counts":{"total":0,"completed":0,"failed":0},"usage":null,"metadata":null}`
	if got := string(b.AppendJSON(nil)); got != young {
		t.Errorf("got  %s\nwant %s", got, young)
	}
	b.Status, b.Model, b.Metadata = BatchCompleted, "m", map[string]string{"b": "2", "a": "1"}
	b.Usage = &Usage{PromptTokens: 1500, CachedTokens: 1024, CompletionTokens: 500, ReasoningTokens: 300, TotalTokens: 2000}
	b.Counts = BatchCounts{100, 95, 5}
	b.OutputFileID, b.ErrorFileID, b.CompletedAt = "file-o", "file-e", 7
	b.Errors = []BatchFault{{Code: "c", Message: "m \"x\"", Param: "p", Line: 3}, {Code: "d", Message: "n"}}
	text := string(b.AppendJSON(nil))
	for _, part := range []string{
		`"usage":{"input_tokens":1500,"input_tokens_details":{"cached_tokens":1024},"output_tokens":500,"output_tokens_details":{"reasoning_tokens":300},"total_tokens":2000}`,
		`"errors":{"object":"list","data":[{"code":"c","message":"m \"x\"","param":"p","line":3},{"code":"d","message":"n","param":null,"line":null}]}`,
		`"metadata":{"a":"1","b":"2"}`, `"request_counts":{"total":100,"completed":95,"failed":5}`, `"completed_at":7,`,
		`"output_file_id":"file-o","error_file_id":"file-e"`,
	} {
		if !strings.Contains(text, part) || !json.Valid([]byte(text)) {
			t.Errorf("%s lacks %s", text, part)
		}
	}
	if got := string(AppendBatchList(nil, nil, false)); got != `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}` {
		t.Error(got)
	}
	second := Batch{ID: "batch_2"}
	got := string(AppendBatchList(nil, []*Batch{&b, &second}, true))
	if !strings.HasSuffix(got, `],"first_id":"batch_abc123","last_id":"batch_2","has_more":true}`) || !json.Valid([]byte(got)) {
		t.Error(got)
	}
}

func TestBatchRequest(t *testing.T) {
	const good = `{"input_file_id":"file-1","endpoint":"/v1/chat/completions","completion_window":"24h"}`
	with := func(member string) string { return strings.TrimSuffix(good, "}") + "," + member + "}" }
	var pairs []string
	for i := range 17 {
		pairs = append(pairs, fmt.Sprintf(`"k%d":"v"`, i))
	}
	for name, tt := range map[string]struct{ body, param, code, message string }{
		"no json":      {"{", "", "", "We could not parse"},
		"a list":       {"[]", "", "invalid_type", ""},
		"no file":      {`{"endpoint":"/v1/chat/completions","completion_window":"24h"}`, "input_file_id", "missing_required_parameter", "Missing required parameter: 'input_file_id'."},
		"no endpoint":  {`{"input_file_id":"f","completion_window":"24h"}`, "endpoint", "missing_required_parameter", ""},
		"no window":    {`{"input_file_id":"f","endpoint":"/v1/chat/completions"}`, "completion_window", "missing_required_parameter", ""},
		"endpoint":     {strings.Replace(good, "/v1/chat/completions", "/v1/x", 1), "endpoint", "invalid_value", "Invalid value: '/v1/x'. Supported values are: '/v1/chat/completions'."},
		"window":       {strings.Replace(good, "24h", "48h", 1), "completion_window", "invalid_value", "Invalid value: '48h'. Supported values are: '24h'."},
		"file a list":  {strings.Replace(good, `"file-1"`, "[]", 1), "input_file_id", "invalid_type", ""},
		"metadata":     {with(`"metadata":{"tags":["a"]}`), "metadata.tags", "invalid_type", "Invalid type for 'metadata.tags': expected a string, but got an array instead."},
		"many pairs":   {with(`"metadata":{` + strings.Join(pairs, ",") + `}`), "metadata", "object_above_max_properties", ""},
		"long value":   {with(`"metadata":{"a":"` + strings.Repeat("x", 513) + `"}`), "metadata.a", "string_above_max_length", ""},
		"long name":    {with(`"metadata":{"` + strings.Repeat("x", 65) + `":"a"}`), "metadata." + strings.Repeat("x", 65), "property_name_above_max_length", ""},
		"anchor":       {with(`"output_expires_after":{"anchor":"completed_at","seconds":3600}`), "output_expires_after.anchor", "invalid_value", ""},
		"few seconds":  {with(`"output_expires_after":{"anchor":"created_at","seconds":3599}`), "output_expires_after.seconds", "integer_below_min_value", ""},
		"many seconds": {with(`"output_expires_after":{"anchor":"created_at","seconds":2592001}`), "output_expires_after.seconds", "integer_above_max_value", ""},
		"no seconds":   {with(`"output_expires_after":{"anchor":"created_at"}`), "output_expires_after.seconds", "missing_required_parameter", ""},
	} {
		_, err := ParseBatchRequest([]byte(tt.body))
		e := AsError(err)
		if e == nil || e.Status != 400 || e.Param != tt.param || e.Code != tt.code || !strings.HasPrefix(e.Message, tt.message) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	r, err := ParseBatchRequest([]byte(with(`"metadata":{"a":"b"},"output_expires_after":{"anchor":"created_at","seconds":3600},"more":1`)))
	if err != nil || r.InputFileID != "file-1" || r.Window != "24h" || r.Duration != 24*time.Hour || r.Metadata["a"] != "b" || r.OutputExpires != time.Hour {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = ParseBatchRequest([]byte(with(`"metadata":null,"output_expires_after":null`))); err != nil || r.Metadata != nil || r.OutputExpires != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = ParseBatchRequest([]byte(strings.Replace(good, "24h", "7d", 1)), "24h", "7d"); err != nil || r.Duration != 7*24*time.Hour {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestParseWindow(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30m": 30 * time.Minute,
		"": 0, "h": 0, "0h": 0, "-1h": 0, "1.5h": 0, "24": 0, "1h30m": 0, "99999999h": 0, "1 h": 0,
	} {
		if got, err := ParseWindow(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

// arrows are the transitions of a batch.
var arrows = map[BatchStatus][]BatchStatus{
	BatchValidating: {BatchFailed, BatchInProgress, BatchCancelling},
	BatchInProgress: {BatchFinalizing, BatchExpired, BatchCancelling, BatchFailed},
	BatchFinalizing: {BatchCompleted, BatchCancelling, BatchFailed},
	BatchCancelling: {BatchCancelled, BatchFailed},
}

// Whatever is done to a batch in whatever order, its status moves along the arrows,
// its times agree with it, its counts never fall, and an ended one never changes.
func TestBatchTransitions(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		b := Batch{Status: BatchValidating, CreatedAt: 1}
		for n := range 30 {
			was, now := b, time.Unix(int64(n+10), 0)
			switch rnd.IntN(7) {
			case 0:
				b.Start("m", 10, now)
			case 1:
				b.Fail([]BatchFault{{Code: "x"}}, now)
			case 2:
				b.Finalize(now)
			case 3:
				if _, err := b.Cancel(now); (err != nil) != (was.Status == BatchCompleted || was.Status == BatchFailed || was.Status == BatchExpired) {
					t.Fatalf("cancel of %s: %v", was.Status, err)
				}
			case 4:
				b.Count(rnd.IntN(12), rnd.IntN(12))
			case 5:
				if rnd.IntN(4) == 0 {
					b.Lose(now)
				}
			case 6:
				completed := rnd.IntN(b.Counts.Total + 1) // as if results had been lost and made again
				b.End(BatchOutcome{Counts: BatchCounts{b.Counts.Total, completed, b.Counts.Total - completed}}, now)
			}
			checkStep(t, &was, &b)
		}
	}
	ended := Batch{Status: BatchCompleted}
	_, err := ended.Cancel(time.Now())
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != 409 || !e.NoRetry || e.Message != "Cannot cancel a batch with status 'completed'." {
		t.Errorf("%v", err)
	}
}

func checkStep(t *testing.T, was, b *Batch) {
	t.Helper()
	allowed := was.Status == b.Status
	for _, s := range arrows[was.Status] {
		allowed = allowed || s == b.Status
	}
	if !allowed || was.Status.Ended() && fmt.Sprint(*was) != fmt.Sprint(*b) {
		t.Fatalf("%+v became %+v", was, b)
	}
	if c := b.Counts; c.Completed < was.Counts.Completed || c.Failed < was.Counts.Failed || c.Completed+c.Failed > c.Total {
		t.Fatalf("counts %+v became %+v", was.Counts, c)
	}
	for s, at := range map[BatchStatus]int64{
		BatchFailed: b.FailedAt, BatchCompleted: b.CompletedAt, BatchExpired: b.ExpiredAt, BatchCancelled: b.CancelledAt,
	} {
		if (at != 0) != (b.Status == s) {
			t.Fatalf("time of %s is %d: %+v", s, at, b)
		}
	}
	if b.Status == BatchInProgress && b.InProgressAt == 0 || b.Status == BatchFinalizing && b.FinalizingAt == 0 ||
		(b.Status == BatchCancelling || b.Status == BatchCancelled) && b.CancellingAt == 0 {
		t.Fatalf("a time is missing: %+v", b)
	}
	if b.Status.Ended() && b.Status != BatchFailed && b.Counts.Completed+b.Counts.Failed != b.Counts.Total {
		t.Fatalf("ended with %+v", b.Counts)
	}
}

func TestBatchOutputLines(t *testing.T) {
	for got, want := range map[string]string{
		string(AppendBatchAnswer(nil, "batch_req_1", []byte(`"a"`), "req_1", 200, []byte("{\n \"id\":\"x\"\n}"))): `{"id":"batch_req_1","custom_id":"a","response":{"status_code":200,"request_id":"req_1","body":{  "id":"x" }},"error":null}` + "\n",
		string(AppendBatchAnswer(nil, "b", []byte(`"a"`), "r", 400, ErrInvalid("p", "", "no").AppendJSON(nil))):   `{"id":"b","custom_id":"a","response":{"status_code":400,"request_id":"r","body":{"error":{"message":"no","type":"invalid_request_error","param":"p","code":null}}},"error":null}` + "\n",
		string(AppendBatchError(nil, "b", []byte(`"a"`), CodeBatchExpired, ErrBatchExpired().Message)):            `{"id":"b","custom_id":"a","response":null,"error":{"code":"batch_expired","message":"This request could not be executed before the completion window expired."}}` + "\n",
	} {
		if got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	}
}
