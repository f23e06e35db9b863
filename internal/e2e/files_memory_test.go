package e2e

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// storeFile sends a file of size bytes, made of lines as it goes, and returns its id
// and its sum. It starts no request whose body is in memory.
func (c *client) storeFile(t *testing.T, size int) (id string, sum [sha256.Size]byte) {
	t.Helper()
	in, out := io.Pipe()
	form := multipart.NewWriter(out)
	h := sha256.New()
	written := make(chan error, 1)
	go func() {
		err := writeForm(form, h, size)
		_ = out.CloseWithError(err)
		written <- err
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/files", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var file struct {
		ID    string
		Bytes int
	}
	if err != nil || resp.StatusCode != 200 || json.Unmarshal(body, &file) != nil || file.Bytes != size {
		t.Fatalf("upload: %s %s %v", resp.Status, body, err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	return file.ID, [sha256.Size]byte(h.Sum(nil))
}

// writeForm writes the purpose after the file.
func writeForm(form *multipart.Writer, h hash.Hash, size int) error {
	part, err := form.CreateFormFile("file", "big.jsonl")
	if err != nil {
		return err
	}
	piece := []byte(strings.Repeat(fileLine, 500))
	for left := size; left > 0 && err == nil; left -= len(piece) {
		piece = piece[:min(left, len(piece))]
		h.Write(piece)
		_, err = part.Write(piece)
	}
	if err == nil {
		err = form.WriteField("purpose", "batch")
	}
	if err != nil {
		return err
	}
	return form.Close()
}

// fetchFile reads a file and returns its sum.
func (c *client) fetchFile(t *testing.T, id string) (sum [sha256.Size]byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/files/"+id+"/content", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil || resp.StatusCode != 200 {
		t.Fatalf("download: %s %v", resp.Status, err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// peak is the most memory that a process had, in bytes.
func (p *process) peak(t *testing.T) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(value, "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// TestFileMemory: 200 MB go up and down, and the frontend grows by less than 64 MB.
// OSIRIS_E2E_FILE_MB chooses another size.
func TestFileMemory(t *testing.T) {
	i := install(t, 1, 0)
	size := 200
	if text := os.Getenv("OSIRIS_E2E_FILE_MB"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	size *= 1_000_000
	before := i.frontends[0].peak(t)
	began := time.Now()
	id, sum := i.clients[0].storeFile(t, size)
	up := time.Since(began)
	afterUp := i.frontends[0].peak(t)
	began = time.Now()
	if got := i.clients[0].fetchFile(t, id); got != sum {
		t.Error("what came back is something else")
	}
	down := time.Since(began)
	after := i.frontends[0].peak(t)
	rate := func(d time.Duration) string { return fmt.Sprintf("%.0f MB/s", float64(size)/1e6/d.Seconds()) }
	t.Logf("%d MB: up at %s, down at %s; the frontend had %d MB before, %d MB after the upload, %d MB after the download",
		size/1_000_000, rate(up), rate(down), before>>20, afterUp>>20, after>>20)
	if grown := after - before; grown > 64<<20 {
		t.Errorf("the frontend grew by %d MB", grown>>20)
	}
}
