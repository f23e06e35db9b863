package e2e

import (
	"io"
	"testing"

	"github.com/sashabaranov/go-openai"
)

// TestOtherSDKFiles: the other library, whose forms put the purpose first.
func TestOtherSDKFiles(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	c := newSashabaranov(s.client)
	f, err := c.CreateFileBytes(t.Context(), openai.FileBytesRequest{Name: "a.jsonl", Bytes: []byte(fileLine), Purpose: openai.PurposeBatch})
	if err != nil || f.Bytes != len(fileLine) || f.FileName != "a.jsonl" {
		t.Fatalf("uploaded: %+v, %v", f, err)
	}
	list, err := c.ListFiles(t.Context())
	if err != nil || len(list.Files) != 1 || list.Files[0].ID != f.ID {
		t.Errorf("list: %+v, %v", list, err)
	}
	body, err := c.GetFileContent(t.Context(), f.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || string(got) != fileLine {
		t.Errorf("content: %q, %v", got, err)
	}
	if err := c.DeleteFile(t.Context(), f.ID); err != nil {
		t.Errorf("delete: %v", err)
	}
}
