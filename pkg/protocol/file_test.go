package protocol

import (
	"strings"
	"testing"
	"time"
)

func TestAppendFile(t *testing.T) {
	files := []File{
		{ID: "file-1", Bytes: 120000, CreatedAt: 1677610602, ExpiresAt: 1680202602, Filename: "my \"data\".jsonl", Purpose: "batch"},
		{ID: "file-2", CreatedAt: 5, Filename: "b", Purpose: "user_data"},
	}
	first := `{"id":"file-1","object":"file","bytes":120000,"created_at":1677610602,"expires_at":1680202602,` +
		`"filename":"my \"data\".jsonl","purpose":"batch","status":"processed","status_details":null}`
	second := `{"id":"file-2","object":"file","bytes":0,"created_at":5,"filename":"b","purpose":"user_data","status":"processed","status_details":null}`
	for _, c := range []struct{ got, want string }{
		{string(AppendFile(nil, files[0])), first},
		{string(AppendFileList(nil, files, true)), `{"object":"list","data":[` + first + "," + second + `],"first_id":"file-1","last_id":"file-2","has_more":true}`},
		{string(AppendFileList(nil, nil, false)), `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}`},
		{string(AppendFileDeleted(nil, "file-1")), `{"id":"file-1","object":"file","deleted":true}`},
		{string(ErrFileNotFound("file-1").AppendJSON(nil)), `{"error":{"message":"No such File object: file-1","type":"invalid_request_error","param":"id","code":null}}`},
		{string(ErrFileFormat().AppendJSON(nil)), `{"error":{"message":"Invalid file format for Batch API. Must be .jsonl","type":"invalid_request_error","param":null,"code":null}}`},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

// Forms that say the same are the same, however they say it.
func TestFileFormCanonical(t *testing.T) {
	build := func(pairs ...string) *FileForm {
		var f FileForm
		for i := 0; i < len(pairs); i += 2 {
			set := f.Set
			if pairs[i] == "file" {
				set = func(_, value string) error { return f.SetFile(value) }
			}
			if err := set(pairs[i], pairs[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Check(); err != nil {
			t.Fatal(err)
		}
		return &f
	}
	a := build("file", "a.jsonl", "purpose", "batch", "expires_after[anchor]", "created_at", "expires_after[seconds]", "3600")
	b := build("expires_after.seconds", "3600", "purpose", "batch", "expires_after.anchor", "created_at", "file", "a.jsonl")
	if string(a.AppendCanonical(nil)) != string(b.AppendCanonical(nil)) || a.Age() != time.Hour {
		t.Errorf("%s, %s, %s", a.AppendCanonical(nil), b.AppendCanonical(nil), a.Age())
	}
	c := build("file", "b.JSONL", "purpose", "batch")
	if string(a.AppendCanonical(nil)) == string(c.AppendCanonical(nil)) || c.Age() != BatchFileAge {
		t.Errorf("%s, %s", c.AppendCanonical(nil), c.Age())
	}
	if d := build("file", "a.jsonl", "purpose", "vision"); d.Age() != 0 {
		t.Errorf("other purposes are kept for %s", d.Age())
	}
}

func TestFileFormNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a.jsonl": true, "ä ö.txt": true, "\xff": true, strings.Repeat("x", 255): true, strings.Repeat("x", 256): false, "a\nb": false, "a\x00": false, "a\x7f": false,
	} {
		var f FileForm
		if err := f.SetFile(name); (err == nil) != ok {
			t.Errorf("%.40q: %v", name, err)
		}
	}
}
