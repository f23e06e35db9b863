package frontend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// sized is an upload's head with the length of its body.
func sized(t testing.TB, target string, fields ...field) (head, body string) {
	head, body = rawUpload(t, fields, "")
	head = strings.Replace(head, " /v1/files ", " "+target+" ", 1)
	return strings.TrimSuffix(head, "\r\n") + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)), body
}

// Whatever people make of the URL, an upload is an upload.
func TestUploadTargets(t *testing.T) {
	r := start(t, anyone(), nil)
	for _, target := range []string{"/v1/files", "/v1/files/", "/v1/v1/files", "/v1/files?x=1", "http://x/v1/files", "http://x/v1/files/?x=/files"} {
		head, body := sized(t, target, batchFields(inputLine)...)
		if resp, got := readResponse(t, r.raw(head+body)); resp.StatusCode != 200 || !strings.HasPrefix(string(got), `{"id":"file-`) {
			t.Errorf("%s: %s %s", target, resp.Status, got)
		}
	}
	for _, target := range []string{"/v1/files/x", "/files", "/v1/fil%65s", "/v1/files/content"} {
		head, body := sized(t, target, batchFields(inputLine)...)
		if resp, got := readResponse(t, r.raw(head+body)); resp.StatusCode != 404 && resp.StatusCode != 405 {
			t.Errorf("%s: %s %s", target, resp.Status, got)
		}
	}
}

// Uploads under way share the memory for large bodies. Beyond it they are refused,
// and it is given back.
func TestUploadsAtATime(t *testing.T) {
	n := jobstest.One(t)
	r := startOn(t, n, Config{AllowAnonymous: true, MaxBody: 1 << 20, MaxBodies: uploadMemory + 1<<20}, nil)
	head, body := sized(t, "/v1/files", batchFields(strings.Repeat(inputLine, 10_000))...)
	first := r.raw(head + body[:len(body)-10])
	eventually(t, "the first is there", func() bool { return r.bodies.inUse() == uploadMemory })
	resp, got := readResponse(t, r.raw(head+body))
	wantError(t, resp, got, 503, "service_unavailable_error", "server_is_overloaded")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if _, err := first.Write([]byte(body[len(body)-10:])); err != nil {
		t.Fatal(err)
	}
	if resp, got := readResponse(t, first); resp.StatusCode != 200 {
		t.Errorf("the first: %s %s", resp.Status, got)
	}
	eventually(t, "memory given back", func() bool { return r.bodies.inUse() == 0 })
	if resp, got := readResponse(t, r.raw(head+body)); resp.StatusCode != 200 {
		t.Errorf("afterwards: %s %s", resp.Status, got)
	}
}

// Downloads too, as long as their clients take them.
func TestDownloadsAtATime(t *testing.T) {
	r := start(t, Config{AllowAnonymous: true, MaxBody: 1 << 20, MaxBodies: downloadMemory + 1<<20}, nil)
	small := r.upload([]field{{"purpose", "user_data", ""}, {"file", "x", "a"}})
	large := r.upload([]field{{"purpose", "user_data", ""}, {"file", strings.Repeat("x", 30<<20), "b"}})
	path := func(f fileObject) string { return "/v1/files/" + f.ID + "/content" }
	first := r.send(t.Context(), http.MethodGet, path(large), "")
	resp, got := r.do(http.MethodGet, path(large), "")
	wantError(t, resp, got, 503, "service_unavailable_error", "server_is_overloaded")
	if resp, _ := r.do(http.MethodGet, path(small), ""); resp.StatusCode != 200 {
		t.Errorf("a small one: %s", resp.Status)
	}
	if n, err := io.Copy(io.Discard, first.Body); n != large.Bytes || err != nil {
		t.Errorf("the first: %d bytes, %v", n, err)
	}
	_ = first.Body.Close()
	eventually(t, "memory given back", func() bool { return r.bodies.inUse() == 0 })
	if resp, _ := r.do(http.MethodHead, path(large), ""); resp.StatusCode != 200 {
		t.Errorf("afterwards: %s", resp.Status)
	}
	if n := r.bodies.inUse(); n != 0 {
		t.Errorf("%d bytes are not given back", n)
	}
}

func TestFileErrors(t *testing.T) {
	for status, err := range map[int]error{
		507: fmt.Errorf("write file: %w", jobs.ErrNoRoom), 503: errStoreStalled, 500: errors.New("other"), 413: protocol.ErrFileTooLarge(1),
	} {
		if e := protocol.AsError(fileError(err)); e.Status != status {
			t.Errorf("%v: status %d, want %d", err, e.Status, status)
		}
	}
	if fileError(nil) != nil {
		t.Error("no error became one")
	}
}

// A shutdown that cannot wait ends uploads too, and leaves nothing of them.
func TestShutdownCutsUploads(t *testing.T) {
	n := jobstest.One(t)
	r := startOn(t, n, Config{AllowAnonymous: true, Grace: 100 * time.Millisecond}, nil)
	head, body := sized(t, "/v1/files", batchFields(strings.Repeat(inputLine, 20_000))...)
	r.raw(head + body[:1<<20])
	eventually(t, "a part stored", func() bool { return n.Messages(t, "files") > 0 })
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Shutdown(over); err == nil {
		t.Error("a shutdown that cut an answer says it did not")
	}
	nothingStored(t, n)
}
