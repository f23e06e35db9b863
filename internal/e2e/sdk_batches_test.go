package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// batchLines are n requests to echo; those that fail ask for it.
func batchLines(n int, fails ...int) string {
	var b strings.Builder
	for i := range n {
		more := ""
		if slices.Contains(fails, i) {
			more = `,"metadata":{"echo_error":"400"}`
		}
		fmt.Fprintf(&b, `{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":"echo","messages":[{"role":"user","content":"Hello %d"}]%s}}`+"\n", i, i, more)
	}
	return b.String()
}

// TestSDKBatches: OpenAI's library uploads, creates, polls and downloads, unchanged.
func TestSDKBatches(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	api := newOfficial(s.client)
	file, err := api.Files.New(t.Context(), openai.FileNewParams{
		File: named{strings.NewReader(batchLines(40, 7, 11)), "requests.jsonl"}, Purpose: openai.FilePurposeBatch,
	})
	if err != nil {
		t.Fatal(err)
	}
	params := openai.BatchNewParams{
		InputFileID: file.ID, Endpoint: openai.BatchNewParamsEndpointV1ChatCompletions,
		CompletionWindow: openai.BatchNewParamsCompletionWindow24h, Metadata: map[string]string{"for": "a test"},
		OutputExpiresAfter: openai.BatchNewParamsOutputExpiresAfter{Seconds: 7200},
	}
	batch, err := api.Batches.New(t.Context(), params, option.WithHeader("Idempotency-Key", "once"))
	if err != nil {
		t.Fatal(err)
	}
	if batch.Status != openai.BatchStatusValidating || batch.ExpiresAt != batch.CreatedAt+86400 || batch.Metadata["for"] != "a test" {
		t.Errorf("created: %s", batch.RawJSON())
	}
	if again, err := api.Batches.New(t.Context(), params, option.WithHeader("Idempotency-Key", "once")); err != nil || again.ID != batch.ID {
		t.Errorf("created again: %v, %v", again, err)
	}
	batch = endedBatch(t, api.Batches, batch.ID)
	if c := batch.RequestCounts; batch.Status != openai.BatchStatusCompleted || c.Total != 40 || c.Completed != 38 || c.Failed != 2 ||
		batch.Usage.TotalTokens == 0 || batch.InProgressAt == 0 || batch.FinalizingAt == 0 || batch.CompletedAt == 0 || batch.Model != "echo" {
		t.Errorf("ended: %s", batch.RawJSON())
	}
	checkBatchFile(t, api.Files, batch.OutputFileID, 38, 200)
	checkBatchFile(t, api.Files, batch.ErrorFileID, 2, 400)
	if f, err := api.Files.Get(t.Context(), batch.OutputFileID); err != nil || f.Purpose != openai.FileObjectPurposeBatchOutput || f.ExpiresAt != f.CreatedAt+7200 {
		t.Errorf("output file: %v, %v", f, err)
	}
	list := api.Batches.ListAutoPaging(t.Context(), openai.BatchListParams{Limit: openai.Int(1)})
	if !list.Next() || list.Current().ID != batch.ID || list.Next() {
		t.Errorf("list: %v", list.Err())
	}
}

// endedBatch polls as users do.
func endedBatch(t *testing.T, batches openai.BatchService, id string) (batch *openai.Batch) {
	t.Helper()
	eventually(t, patience, "batch ends", func(ctx context.Context) (err error) {
		if batch, err = batches.Get(ctx, id); err == nil && batch.CompletedAt+batch.FailedAt+batch.ExpiredAt+batch.CancelledAt == 0 {
			return errors.New(batch.RawJSON())
		}
		return err
	})
	return batch
}

// checkBatchFile holds that a file of results has n lines of different requests, all
// with one status, and that each answers its own.
func checkBatchFile(t *testing.T, files openai.FileService, id string, n, status int) {
	t.Helper()
	resp, err := files.Content(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		var l struct {
			CustomID string `json:"custom_id"`
			Response struct {
				Status int             `json:"status_code"`
				Body   json.RawMessage `json:"body"`
			} `json:"response"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		var number int
		if _, err := fmt.Sscanf(l.CustomID, "c%d", &number); err != nil || seen[l.CustomID] || l.Response.Status != status {
			t.Errorf("line %s", line)
		}
		seen[l.CustomID] = true
		var answer openai.ChatCompletion
		if status == 200 && (json.Unmarshal(l.Response.Body, &answer) != nil || answer.Choices[0].Message.Content != fmt.Sprint("Hello ", number)) {
			t.Errorf("line %s", line)
		}
	}
	if len(seen) != n {
		t.Errorf("%d lines, want %d", len(seen), n)
	}
}

// TestSDKBatchRefusals: what the library makes of refusals, none of which it repeats.
func TestSDKBatchRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	api := newOfficial(s.client)
	refused := func(err error, status int64, message string) {
		t.Helper()
		e, ok := errors.AsType[*openai.Error](err)
		if !ok || int64(e.StatusCode) != status || !strings.HasPrefix(e.Message, message) {
			t.Errorf("%v, want %d %s", err, status, message)
		}
	}
	_, err := api.Batches.Get(t.Context(), "batch_none")
	refused(err, 404, "No batch found with id 'batch_none'")
	_, err = api.Batches.New(t.Context(), openai.BatchNewParams{InputFileID: "file-x", Endpoint: "/v1/embeddings", CompletionWindow: "24h"})
	refused(err, 400, "Invalid value: '/v1/embeddings'.")
	batch, err := api.Batches.New(t.Context(), openai.BatchNewParams{InputFileID: "file-x", Endpoint: "/v1/chat/completions", CompletionWindow: "24h"})
	if err != nil {
		t.Fatal(err)
	}
	batch = endedBatch(t, api.Batches, batch.ID)
	if e := batch.Errors.Data; len(e) != 1 || e[0].Code != "invalid_request" || e[0].Param != "file_id" || !strings.HasPrefix(e[0].Message, "Cannot find file file-x") {
		t.Errorf("%s", batch.RawJSON())
	}
	_, err = api.Batches.Cancel(t.Context(), batch.ID)
	refused(err, 409, "Cannot cancel a batch with status 'failed'.")
}
