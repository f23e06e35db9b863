package frontend

import (
	"crypto/sha256"
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

// An upload whose NATS goes away is refused before long, and one that begins then
// too.
func TestUploadWithoutNATS(t *testing.T) {
	t.Parallel()
	n := jobstest.Own(t, 1)
	r := startOn(t, n, Config{AllowAnonymous: true, StoreWait: 300 * time.Millisecond}, nil)
	head, body := rawUpload(t, batchFields(strings.Repeat(inputLine, 50_000)), "")
	head = strings.TrimSuffix(head, "\r\n") + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body))
	c := r.raw(head + body[:1<<20])
	eventually(t, "a part stored", func() bool { return n.Messages(t, "files") > 0 })
	n.Kill(0)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, body[1<<20:]) // cut off when it is refused
	}()
	resp, got := readResponse(t, c)
	wantError(t, resp, got, 503, "service_unavailable_error", "")
	_ = c.Close()
	<-sent
	n.Restart(t, 0)
	eventually(t, "taken again", func() bool {
		form, kind := form(t, batchFields(inputLine)...)
		resp, _ := r.do(http.MethodPost, "/v1/files", form, "Content-Type", kind)
		return resp.StatusCode == http.StatusOK
	})
}

// A download that cannot go on is cut: it never looks complete.
func TestDownloadWithoutNATS(t *testing.T) {
	t.Parallel()
	n := jobstest.Own(t, 1)
	r := startOn(t, n, Config{AllowAnonymous: true, StoreWait: 300 * time.Millisecond}, nil)
	f := r.upload([]field{{"purpose", "user_data", ""}, {"file", strings.Repeat("0123456789", 3<<20), "a"}})
	resp := r.send(t.Context(), http.MethodGet, "/v1/files/"+f.ID+"/content", "")
	defer resp.Body.Close()
	n.Kill(0)
	if got, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes of %d, and no error", got, f.Bytes)
	}
	eventually(t, "logged", func() bool { return strings.Contains(r.log.String(), `"status":500`) })
	n.Restart(t, 0)
}

// A file that was deleted while it is read is cut as well.
func TestDownloadOfADeletedFile(t *testing.T) {
	r := start(t, anyone(), nil)
	f := r.upload([]field{{"purpose", "user_data", ""}, {"file", strings.Repeat("0123456789", 3<<20), "a"}})
	resp := r.send(t.Context(), http.MethodGet, "/v1/files/"+f.ID+"/content", "")
	defer resp.Body.Close()
	if err := r.conn.DeleteFile(t.Context(), anonymous, f.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes of %d, and no error", got, f.Bytes)
	}
}

// Whoever claimed a key and died left an id: the next upload with the key makes the
// file under it.
func TestUploadAfterItsClaimantDied(t *testing.T) {
	r := start(t, anyone(), nil)
	var said protocol.FileForm
	if err := said.Set("purpose", "batch"); err != nil {
		t.Fatal(err)
	}
	if err := said.SetFile("in.jsonl"); err != nil {
		t.Fatal(err)
	}
	content := sha256.Sum256([]byte(inputLine))
	hash := sha256.Sum256(append(said.AppendCanonical(nil), content[:]...))
	id := jobs.NewFileID()
	about := sha256.Sum256(append([]byte("POST /v1/files\n"), hash[:]...))
	if _, err := r.conn.Claim(t.Context(), anonymous, "k", about, id); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if f := r.upload(batchFields(inputLine), "Idempotency-Key", "k"); f.ID != id {
			t.Errorf("file %s, want the claimed %s", f.ID, id)
		}
	}
}
