package e2e

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
)

const fileLine = `{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"echo","messages":[{"role":"user","content":"hi"}]}}` + "\n"

// named is a reader whose name a library sends along.
type named struct {
	io.Reader
	name string
}

func (n named) Filename() string    { return n.name }
func (n named) ContentType() string { return "application/jsonl" }

// TestSDKFiles: OpenAI's library uploads, lists, reads and deletes, unchanged.
func TestSDKFiles(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	files := newOfficial(s.client).Files
	content := strings.Repeat(fileLine, 20_000)
	var ids []string
	for range 3 {
		f, err := files.New(t.Context(), openai.FileNewParams{
			File: named{strings.NewReader(content), "requests.jsonl"}, Purpose: openai.FilePurposeBatch,
			ExpiresAfter: openai.FileNewParamsExpiresAfter{Seconds: 7200},
		})
		if err != nil {
			t.Fatal(err)
		}
		if f.Filename != "requests.jsonl" || f.Bytes != int64(len(content)) || f.Purpose != openai.FileObjectPurposeBatch ||
			!strings.Contains(f.RawJSON(), `"status":"processed"`) || f.ExpiresAt != f.CreatedAt+7200 {
			t.Errorf("uploaded: %s", f.RawJSON())
		}
		ids = append(ids, f.ID)
	}
	for order, want := range map[openai.FileListParamsOrder][]string{"asc": ids, "desc": {ids[2], ids[1], ids[0]}} {
		var got []string
		pages := files.ListAutoPaging(t.Context(), openai.FileListParams{Limit: openai.Int(2), Order: order, Purpose: openai.String("batch")})
		for pages.Next() {
			got = append(got, pages.Current().ID)
		}
		if err := pages.Err(); err != nil || !slices.Equal(got, want) {
			t.Errorf("list %s: %v, %v, want %v", order, got, err, want)
		}
	}
	if f, err := files.Get(t.Context(), ids[0]); err != nil || f.ID != ids[0] {
		t.Errorf("get: %+v, %v", f, err)
	}
	resp, err := files.Content(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != content {
		t.Errorf("content: %d bytes, %v", len(got), err)
	}
	if d, err := files.Delete(t.Context(), ids[0]); err != nil || !d.Deleted || d.ID != ids[0] {
		t.Errorf("delete: %+v, %v", d, err)
	}
	_, err = files.Get(t.Context(), ids[0])
	if e, ok := errors.AsType[*openai.Error](err); !ok || e.StatusCode != 404 || e.Message != "No such File object: "+ids[0] {
		t.Errorf("get what was deleted: %v", err)
	}
	_, err = files.New(t.Context(), openai.FileNewParams{File: named{strings.NewReader("hello"), "a.txt"}, Purpose: openai.FilePurposeBatch})
	if e, ok := errors.AsType[*openai.Error](err); !ok || e.StatusCode != 400 || e.Message != "Invalid file format for Batch API. Must be .jsonl" {
		t.Errorf("upload of a text: %v", err)
	}
}
