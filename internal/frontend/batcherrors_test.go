package frontend

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// TestBatchErrorTable holds every answer about a batch that OpenAI gives at once to
// the byte: what create, retrieve and cancel say of each fault. Where OpenAI's own
// words are not known, ours stand here.
func TestBatchErrorTable(t *testing.T) {
	r := start(t, anyone(), nil)
	inState := func(change func(b *protocol.Batch)) string {
		b := r.createBatch(goodBatch)
		stored, err := r.conn.Batch(t.Context(), anonymous, b.ID)
		if err != nil {
			t.Fatal(err)
		}
		change(&stored.Object)
		if err := r.conn.WriteBatch(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		return "/v1/batches/" + b.ID
	}
	now := time.Now()
	completed := inState(func(b *protocol.Batch) {
		b.Start("m", 1, now)
		b.Finalize(now)
		b.End(protocol.BatchOutcome{Counts: protocol.BatchCounts{Total: 1, Completed: 1}}, now)
	})
	failed := inState(func(b *protocol.Batch) { b.Fail([]protocol.BatchFault{{Code: "x", Message: "x"}}, now) })
	expired := inState(func(b *protocol.Batch) {
		b.Start("m", 1, now)
		b.End(protocol.BatchOutcome{Counts: protocol.BatchCounts{Total: 1, Failed: 1}}, now)
	})
	unknown := "/v1/batches/" + jobs.NewBatchID()
	other := r.purposeFile("user_data")
	with := func(old, replacement string) string { return strings.Replace(goodBatch, old, replacement, 1) }
	const post, get = http.MethodPost, http.MethodGet
	for _, row := range []struct {
		name, method, path, body string
		status                   int
		message, param, code     string // param and code "" are null
	}{
		{"unknown endpoint", post, "/v1/batches", with("/v1/chat/completions", "/v1/x"), 400,
			"Invalid value: '/v1/x'. Supported values are: '/v1/chat/completions'.", "endpoint", "invalid_value"},
		{"endpoint of another kind", post, "/v1/batches", with("/v1/chat/completions", "/v1/embeddings"), 400,
			"Invalid value: '/v1/embeddings'. Supported values are: '/v1/chat/completions'.", "endpoint", "invalid_value"},
		{"another window", post, "/v1/batches", with("24h", "48h"), 400,
			"Invalid value: '48h'. Supported values are: '24h'.", "completion_window", "invalid_value"},
		{"metadata value a list", post, "/v1/batches", with(`{`, `{"metadata":{"tags":["a"]},`), 400,
			"Invalid type for 'metadata.tags': expected a string, but got an array instead.", "metadata.tags", "invalid_type"},
		{"metadata value a number", post, "/v1/batches", with(`{`, `{"metadata":{"tags":1},`), 400,
			"Invalid type for 'metadata.tags': expected a string, but got an integer instead.", "metadata.tags", "invalid_type"},
		{"no input file", post, "/v1/batches", with(`"input_file_id"`, `"x"`), 400,
			"Missing required parameter: 'input_file_id'.", "input_file_id", "missing_required_parameter"},
		{"no endpoint", post, "/v1/batches", with(`"endpoint"`, `"x"`), 400,
			"Missing required parameter: 'endpoint'.", "endpoint", "missing_required_parameter"},
		{"no window", post, "/v1/batches", with(`"completion_window"`, `"x"`), 400,
			"Missing required parameter: 'completion_window'.", "completion_window", "missing_required_parameter"},
		{"file of another purpose", post, "/v1/batches", with("file-0123456789abcdef0123456789abcdef", other), 400,
			"Invalid value: a batch needs an input file of purpose 'batch', but this one was uploaded for 'user_data'.", "input_file_id", "invalid_value"},
		{"retrieve an unknown batch", get, unknown, "", 404,
			"No batch found with id '" + strings.TrimPrefix(unknown, "/v1/batches/") + "'.", "", ""},
		{"cancel an unknown batch", post, unknown + "/cancel", "", 404,
			"No batch found with id '" + strings.TrimPrefix(unknown, "/v1/batches/") + "'.", "", ""},
		{"cancel a completed batch", post, completed + "/cancel", "", 409, "Cannot cancel a batch with status 'completed'.", "", ""},
		{"cancel a failed batch", post, failed + "/cancel", "", 409, "Cannot cancel a batch with status 'failed'.", "", ""},
		{"cancel an expired batch", post, expired + "/cancel", "", 409, "Cannot cancel a batch with status 'expired'.", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp, body := r.do(row.method, row.path, row.body)
			want := fmt.Sprintf(`{"error":{"message":%q,"type":"invalid_request_error","param":%s,"code":%s}}`,
				row.message, textOrNull(row.param), textOrNull(row.code))
			if resp.StatusCode != row.status || string(body) != want {
				t.Errorf("%d\ngot  %s\nwant %s", resp.StatusCode, body, want)
			}
			if permanent := resp.Header.Get("X-Should-Retry") == "false"; row.status == 409 && !permanent {
				t.Error("SDKs would try again")
			}
		})
	}
	// What is no error at first: a file that is not there, and cancelling twice.
	b := r.createBatch(goodBatch)
	if b.Status != "validating" {
		t.Errorf("unknown input file: %+v", b)
	}
	cancelled := inState(func(b *protocol.Batch) {
		if _, err := b.Cancel(now); err != nil {
			t.Error(err)
		}
		b.End(protocol.BatchOutcome{}, now)
	})
	resp, body := r.do(post, cancelled+"/cancel", "")
	if got := decoded[batchObject](t, resp, body); got.Status != "cancelled" {
		t.Errorf("cancel a cancelled batch: %s", body)
	}
}

func textOrNull(s string) string {
	if s == "" {
		return "null"
	}
	return fmt.Sprintf("%q", s)
}

// purposeFile stores a file that was uploaded for a purpose.
func (r *rig) purposeFile(purpose string) (id string) {
	r.t.Helper()
	w := r.conn.NewFile(r.t.Context(), jobs.File{
		ID: jobs.NewFileID(), Tenant: anonymous, Filename: "f.jsonl", Purpose: purpose, Created: time.Now(),
	})
	if _, err := w.Write([]byte("{}\n")); err != nil {
		r.t.Fatal(err)
	}
	f, err := w.Commit(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return f.ID
}
