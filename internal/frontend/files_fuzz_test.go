package frontend

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

const fuzzBoundary = "b"

// FuzzUpload sends any bytes as a form. Whatever they are, the answer is an error
// in OpenAI's shape, or a file with exactly the content that the form has.
func FuzzUpload(f *testing.F) {
	part := func(disposition, value string) string {
		return "--b\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + value + "\r\n"
	}
	file, purpose := part(`name="file"; filename="a.jsonl"`, inputLine), part(`name="purpose"`, "batch")
	for _, seed := range []string{
		file + purpose + "--b--\r\n", purpose + file + "--b--", purpose + file + file + "--b--\r\n", file + "--b--", purpose, "", "--b--\r\n", "--b\r\n\r\n",
		purpose + part(`name="expires_after[seconds]"`, "3600") + file + part(`name="expires_after[anchor]"`, "created_at") + "--b--\r\n",
		part(`name="purpose"`, "user_data") + part(`name="file"; filename="\\\"x\"/../y"`, "\r\n--\r\n--a\r\n") + "--b--\r\nepilogue",
		strings.ReplaceAll(file+purpose+"--b--\r\n", "\r\n", "\n"), "preamble\r\n" + file + purpose + "--b  \r\n--b--\r\n",
		part(`name=file; filename*=UTF-8''a%2Ejsonl`, "{}") + purpose + "--b--\r\n", part("", "x") + "--b--\r\n",
	} {
		f.Add([]byte(seed))
	}
	r := start(f, anyone(), nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		resp, err := r.http.Post(r.url+"/v1/files", "multipart/form-data; boundary="+fuzzBoundary, bytes.NewReader(body))
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			if resp.StatusCode < 400 || resp.StatusCode >= 500 || !bytes.HasPrefix(got, []byte(`{"error":{"message":`)) {
				t.Fatalf("%q: %s %s", body, resp.Status, got)
			}
			return
		}
		want := contentOf(t, body)
		id := strings.Split(string(got), `"`)[3]
		content, err := r.http.Get(r.url + "/v1/files/" + id + "/content")
		if err != nil {
			t.Fatal(err)
		}
		defer content.Body.Close()
		if stored, err := io.ReadAll(content.Body); err != nil || !bytes.Equal(stored, want) {
			t.Fatalf("%q: stored %q, want %q (%v)", body, stored, want, err)
		}
		if err := r.conn.DeleteFile(t.Context(), anonymous, id); err != nil {
			t.Fatal(err)
		}
	})
}

// contentOf reads the file of a form in memory.
func contentOf(t *testing.T, body []byte) []byte {
	m := multipart.NewReader(bytes.NewReader(body), fuzzBoundary)
	for {
		part, err := m.NextRawPart()
		if err != nil {
			t.Fatalf("%q was taken: %v", body, err)
		}
		if part.FormName() == "file" {
			content, err := io.ReadAll(part)
			if err != nil {
				t.Fatalf("%q was taken: %v", body, err)
			}
			return content
		}
	}
}

// FuzzRanges holds that ranges are inside the file, and not more than it together.
func FuzzRanges(f *testing.F) {
	for _, header := range []string{"bytes=0-0", "bytes=-1", "bytes=5-", "bytes=0-1,3-", "bytes=9-5", "x", "bytes=,", "bytes=99999999999999999999-"} {
		f.Add(header, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 || size > 1<<50 {
			return // no file has it
		}
		ranges, err := parseRanges(header, size)
		if err != nil && ranges != nil {
			t.Fatal("ranges and an error")
		}
		total := int64(0)
		for _, r := range ranges {
			if r.start < 0 || r.length <= 0 || r.start+r.length > size {
				t.Fatalf("%q of %d: %+v", header, size, r)
			}
			total += r.length
		}
		if total > size || len(ranges) > maxRanges {
			t.Fatalf("%q of %d: %d bytes in %d ranges", header, size, total, len(ranges))
		}
	})
}
