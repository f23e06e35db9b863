package batch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// TestBatchFaultTable holds every fault of an input that OpenAI reports in a batch's
// errors to the byte, through upload, batch and driver. Of its rows only
// token_limit_exceeded is missing: no number of enqueued tokens is bounded here.
func TestBatchFaultTable(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	r.driver(nil)
	good := line("a", "hi")
	without := func(member string) string { return strings.Replace(good, `"`+member+`":`, `"x":`, 1) }
	missing := jobs.NewFileID() // there is none
	foreign := r.as("rival").upload(good).ID
	for _, row := range []struct {
		name, input                string
		code, param, message, line string // param and line "" are null
	}{
		{"no JSON", "{", "invalid_json_line", "", "This line is not parseable as valid JSON.", "1"},
		{"no custom_id", without("custom_id"), "missing_required_parameter", "custom_id", "Missing required parameter: 'custom_id'.", "1"},
		{"no method", without("method"), "missing_required_parameter", "method", "Missing required parameter: 'method'.", "1"},
		{"no url", without("url"), "missing_required_parameter", "url", "Missing required parameter: 'url'.", "1"},
		{"no body", without("body"), "missing_required_parameter", "body", "Missing required parameter: 'body'.", "1"},
		{"no model", without("model"), "invalid_request", "body.model", "Model parameter is required.", "1"},
		{"no messages", without("messages"), "invalid_request", "body.messages", "Messages parameter is required.", "1"},
		{"another url", strings.Replace(good, `"/v1/chat/completions"`, `"/v1/embeddings"`, 1), "invalid_url", "url",
			"The URL provided for this request does not match the batch endpoint.", "1"},
		{"stream", strings.Replace(good, `"model":`, `"stream":true,"model":`, 1), "streaming_unsupported", "body.stream",
			"Chat Completions: Streaming is not supported in the Batch API.", "1"},
		{"unknown model", lineOf("a", "x", "hi"), "model_not_found", "body.model", "The provided model 'x' is not supported by the Batch API.", "1"},
		{"another model", good + "\n" + lineOf("b", "m2", "hi"), "mismatched_model", "body.model",
			"The model 'm2' for this request does not match the rest of the batch. Each batch must contain requests for a single model.", "2"},
		{"custom_id again", good + "\n\n" + good, "duplicate_custom_id", "custom_id",
			"The custom_id 'a' for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch.", "3"},
		{"blank lines alone", "\n \r\n", "empty_file", "",
			"The input file is empty. Please ensure that the batch contains at least one request.", ""},
		{"unknown file", "", "invalid_request", "file_id",
			"Cannot find file " + missing + ", or organization acme does not have access to it.", ""},
		{"file of another tenant", "", "invalid_request", "file_id",
			"Cannot find file " + foreign + ", or organization acme does not have access to it.", ""},
		// Ours: what OpenAI's documents leave open.
		{"another method", strings.Replace(good, "POST", "GET", 1), "invalid_method", "method", "The method of a request in a batch must be 'POST'.", "1"},
		{"body a list", strings.Replace(without("body"), "{", `{"body":[],`, 1), "invalid_type", "body",
			"Invalid type for 'body': expected an object, but got an array instead.", "1"},
		{"custom_id a number", strings.Replace(good, `"custom_id":"a"`, `"custom_id":1`, 1), "invalid_type", "custom_id",
			"Invalid type for 'custom_id': expected a string, but got an integer instead.", "1"},
		{"no UTF-8", strings.Replace(good, "hi", "\xff", 1), "invalid_json_line", "", "This line is not parseable as valid JSON.", "1"},
		{"too many lines", strings.Repeat("{}\n", protocol.MaxBatchRequests+1), "too_many_tasks", "",
			"The batch contains too many requests: the limit is 50000.", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			id := r.create(row.input, func(b *jobs.StoredBatch) {
				switch row.name {
				case "unknown file":
					b.Object.InputFileID = missing
				case "file of another tenant":
					b.Object.InputFileID = foreign
				}
			})
			b := r.end(id, patience)
			param, number := "null", row.line
			if row.param != "" {
				param = fmt.Sprintf("%q", row.param)
			}
			if number == "" {
				number = "null"
			}
			want := fmt.Sprintf(`"errors":{"object":"list","data":[{"code":%q,"message":%q,"param":%s,"line":%s}]}`, row.code, row.message, param, number)
			if got := string(b.AppendJSON(nil)); b.Status != protocol.BatchFailed || !strings.Contains(got, want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
