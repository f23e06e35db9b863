package frontend

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

// rawUpload is an upload as a client writes it to the socket.
func rawUpload(t testing.TB, fields []field, header string) (head, body string) {
	body, kind := form(t, fields...)
	return "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Type: " + kind + "\r\n" + header + "\r\n", body
}

// nothingStored waits until the store holds no file and no part of one.
func nothingStored(t testing.TB, n *jobstest.NATS) {
	t.Helper()
	eventually(t, "nothing left behind", func() bool { return n.Messages(t, "files") == 0 })
}

func TestUploadInChunks(t *testing.T) {
	r := start(t, anyone(), nil)
	head, body := rawUpload(t, batchFields(strings.Repeat(inputLine, 100)), "Transfer-Encoding: chunked\r\n")
	c := r.raw(head)
	for rest := body; rest != ""; rest = rest[min(len(rest), 777):] {
		piece := rest[:min(len(rest), 777)]
		if _, err := fmt.Fprintf(c, "%x;ext=1\r\n%s\r\n", len(piece), piece); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(c, "0\r\nTrailer: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, got := readResponse(t, c)
	var f fileObject
	if err := json.Unmarshal(got, &f); resp.StatusCode != 200 || err != nil || f.Bytes != int64(100*len(inputLine)) || !resp.Close {
		t.Errorf("%s %s", resp.Status, got)
	}
	broken := r.raw(head + "zz\r\n")
	resp, got = readResponse(t, broken)
	wantError(t, resp, got, 400, "invalid_request_error", "")
}

func TestUploadExpectingContinue(t *testing.T) {
	r := start(t, Config{AllowAnonymous: true, MaxFile: 1 << 20}, nil)
	head, body := rawUpload(t, batchFields(inputLine), fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n", 1))
	head = strings.Replace(head, "Content-Length: 1", fmt.Sprintf("Content-Length: %d", len(body)), 1)
	c := r.raw(head)
	buf := make([]byte, 25)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("%q %v", buf, err)
	}
	if _, err := io.WriteString(c, body); err != nil {
		t.Fatal(err)
	}
	if resp, got := readResponse(t, c); resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Status, got)
	}
	head, _ = rawUpload(t, batchFields(inputLine), "Expect: 100-continue\r\nContent-Length: 99999999\r\n")
	resp, got := readResponse(t, r.raw(head))
	wantError(t, resp, got, 413, "invalid_request_error", "")
}

// What the header tells is refused before the body comes.
func TestUploadRefusedByItsHeader(t *testing.T) {
	n := jobstest.One(t)
	r := startOn(t, n, Config{MaxFile: 1 << 20}, nil)
	head, _ := rawUpload(t, batchFields(inputLine), "Content-Length: 99999999\r\n")
	resp, got := readResponse(t, r.raw(head))
	wantError(t, resp, got, 401, "invalid_request_error", "")
	_, secret, err := r.conn.CreateKey(t.Context(), jobs.KeySpec{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	head, _ = rawUpload(t, batchFields(inputLine), "Authorization: Bearer "+secret+"\r\nContent-Length: 99999999\r\n")
	waitKnown(t, r, secret)
	resp, got = readResponse(t, r.raw(head))
	wantError(t, resp, got, 413, "invalid_request_error", "")
	head, _ = rawUpload(t, batchFields(inputLine), "Authorization: Bearer "+secret+"\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n")
	resp, got = readResponse(t, r.raw(head))
	wantError(t, resp, got, 400, "invalid_request_error", "")
	nothingStored(t, n)
}

// waitKnown waits until the frontend has heard of a key.
func waitKnown(t testing.TB, r *rig, secret string) {
	t.Helper()
	eventually(t, "key known", func() bool {
		resp, _ := r.do(http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+secret)
		return resp.StatusCode == http.StatusOK
	})
}

func TestUploadCompressed(t *testing.T) {
	r := start(t, Config{AllowAnonymous: true, MaxFile: 1 << 20}, nil)
	content := strings.Repeat(inputLine, 1000)
	body, kind := form(t, batchFields(content)...)
	resp, got := r.do(http.MethodPost, "/v1/files", gzipped(body), "Content-Type", kind, "Content-Encoding", "gzip")
	var f fileObject
	if err := json.Unmarshal(got, &f); resp.StatusCode != 200 || err != nil || f.Bytes != int64(len(content)) {
		t.Errorf("%s %s", resp.Status, got)
	}
	bomb, kind := form(t, batchFields(inputLine+strings.Repeat(" ", 20<<20))...)
	resp, got = r.do(http.MethodPost, "/v1/files", gzipped(bomb), "Content-Type", kind, "Content-Encoding", "gzip")
	wantError(t, resp, got, 413, "invalid_request_error", "")
	resp, got = r.do(http.MethodPost, "/v1/files", body, "Content-Type", kind, "Content-Encoding", "gzip")
	wantError(t, resp, got, 400, "invalid_request_error", "")
	packed := gzipped(body)
	resp, got = r.do(http.MethodPost, "/v1/files", packed[:len(packed)/2], "Content-Type", kind, "Content-Encoding", "gzip")
	wantError(t, resp, got, 400, "invalid_request_error", "")
	resp, got = r.do(http.MethodPost, "/v1/files", body, "Content-Type", kind, "Content-Encoding", "br")
	wantError(t, resp, got, 415, "invalid_request_error", "")
}

func TestUploadLeftByItsClient(t *testing.T) {
	n := jobstest.One(t)
	r := startOn(t, n, anyone(), nil)
	head, body := rawUpload(t, batchFields(strings.Repeat(inputLine, 50_000)), "Content-Length: 9999999\r\n")
	c := r.raw(head + body[:4<<20])
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "noticed", func() bool { return strings.Contains(r.log.String(), `"status":499`) })
	nothingStored(t, n)
}

func TestUploadSlowAndStalled(t *testing.T) {
	r := start(t, Config{AllowAnonymous: true, ReadTimeout: 200 * time.Millisecond}, nil)
	head, body := rawUpload(t, batchFields(strings.Repeat(inputLine, 200)), "")
	head = strings.TrimSuffix(head, "\r\n") + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body))
	c := r.raw(head)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for rest := body; rest != ""; rest = rest[min(len(rest), 700):] { // 35 KB/s, longer than one time-out
		if _, err := io.WriteString(c, rest[:min(len(rest), 700)]); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	if resp, got := readResponse(t, c); resp.StatusCode != 200 {
		t.Errorf("slow: %s %s", resp.Status, got)
	}
	c = r.raw(head + body[:1000])
	resp, got := readResponse(t, c)
	wantError(t, resp, got, 408, "invalid_request_error", "")
}

func TestUploadIdempotent(t *testing.T) {
	stored := jobstest.One(t)
	r := startOn(t, stored, anyone(), nil)
	const key = "Idempotency-Key"
	a := r.upload(batchFields(inputLine), key, "k1")
	if b := r.upload(batchFields(inputLine), key, "k1"); b != a && (b.ID != a.ID || b.CreatedAt != a.CreatedAt) {
		t.Errorf("again, with another boundary: %+v, want %+v", b, a)
	}
	reordered := []field{batchFields(inputLine)[1], batchFields(inputLine)[0]}
	if b := r.upload(reordered, key, "k1"); b.ID != a.ID {
		t.Errorf("in another order: %+v", b)
	}
	body, kind := form(t, batchFields(inputLine+inputLine)...)
	resp, got := r.do(http.MethodPost, "/v1/files", body, "Content-Type", kind, key, "k1")
	wantError(t, resp, got, 409, "invalid_request_error", "idempotency_key_reused")
	body, kind = form(t, field{"purpose", "batch", ""})
	resp, got = r.do(http.MethodPost, "/v1/files", body, "Content-Type", kind, key, "k2")
	wantError(t, resp, got, 400, "invalid_request_error", "missing_required_parameter")
	if b := r.upload(batchFields(inputLine), key, "k2"); b.ID == a.ID {
		t.Error("a refused upload left a record")
	}
	var ids sync.Map
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			body, kind := form(t, batchFields(strings.Repeat(inputLine, 10_000))...)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/files", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", kind)
			req.Header.Set(key, "k3")
			resp, err := r.http.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			var f fileObject
			if err := json.NewDecoder(resp.Body).Decode(&f); err != nil || resp.StatusCode != 200 {
				t.Errorf("%s %v", resp.Status, err)
			}
			ids.Store(f.ID, true)
		})
	}
	wg.Wait()
	n := 0
	ids.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d files of one key", n)
	}
	parts := 1 + 1 + (10_000*len(inputLine)+(512<<10-1))/(512<<10)
	if got := stored.Messages(t, "files"); got != parts+3 {
		t.Errorf("%d messages are stored, want %d parts and 3 entries", got, parts)
	}
}

func TestUploadQuota(t *testing.T) {
	r := start(t, Config{AllowAnonymous: true, TenantFiles: 1000}, nil)
	a := r.upload([]field{{"purpose", "user_data", ""}, {"file", strings.Repeat("x", 600), "a"}})
	body, kind := form(t, field{"purpose", "user_data", ""}, field{"file", strings.Repeat("x", 401), "b"})
	resp, got := r.do(http.MethodPost, "/v1/files", body, "Content-Type", kind)
	wantError(t, resp, got, 429, "insufficient_quota", "insufficient_quota")
	if resp.Header.Get("X-Should-Retry") != "false" {
		t.Error("clients would retry")
	}
	if resp, _ := r.do(http.MethodDelete, "/v1/files/"+a.ID, ""); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	resp, got = r.do(http.MethodPost, "/v1/files", body, "Content-Type", kind)
	if resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Status, got)
	}
}

// Uploads that are under way finish before a shutdown ends, like any answer.
func TestShutdownWaitsForUploads(t *testing.T) {
	n := jobstest.One(t)
	r := startOn(t, n, anyone(), nil)
	head, body := rawUpload(t, batchFields(strings.Repeat(inputLine, 20_000)), "")
	head = strings.TrimSuffix(head, "\r\n") + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body))
	c := r.raw(head + body[:1<<20])
	// It is in a handler once a part is stored.
	eventually(t, "a part stored", func() bool { return n.Messages(t, "files") > 0 })
	over := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		over <- r.Shutdown(ctx)
	}()
	eventually(t, "shutting down", func() bool { return r.Ready() != nil })
	if _, err := io.WriteString(c, body[1<<20:]); err != nil {
		t.Fatal(err)
	}
	if resp, got := readResponse(t, c); resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Status, got)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}

func TestFilesOfOthers(t *testing.T) {
	r := start(t, Config{}, nil)
	var secrets []string
	for _, tenant := range []string{"acme", "other"} {
		_, secret, err := r.conn.CreateKey(t.Context(), jobs.KeySpec{Name: tenant, Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		waitKnown(t, r, secret)
		secrets = append(secrets, "Bearer "+secret)
	}
	f := r.upload(batchFields(inputLine), "Authorization", secrets[0])
	for _, c := range [][2]string{{"GET", ""}, {"GET", "/content"}, {"DELETE", ""}} {
		resp, got := r.do(c[0], "/v1/files/"+f.ID+c[1], "", "Authorization", secrets[1])
		if msg := wantError(t, resp, got, 404, "invalid_request_error", ""); msg != "No such File object: "+f.ID {
			t.Error(msg)
		}
	}
	if _, got := r.do("GET", "/v1/files", "", "Authorization", secrets[1]); !strings.Contains(string(got), `"data":[]`) {
		t.Errorf("another's list: %s", got)
	}
	if _, got := r.do("GET", "/v1/files", "", "Authorization", secrets[0]); !strings.Contains(string(got), f.ID) {
		t.Errorf("the own list: %s", got)
	}
	for _, path := range []string{"", "/" + f.ID, "/" + f.ID + "/content"} {
		resp, got := r.do("GET", "/v1/files"+path, "")
		wantError(t, resp, got, 401, "invalid_request_error", "")
	}
}

func TestFileList(t *testing.T) {
	r := start(t, anyone(), nil)
	var ids []string
	for i := range 7 {
		purpose := "batch"
		if i%2 == 1 {
			purpose = "user_data"
		}
		ids = append(ids, r.upload([]field{{"purpose", purpose, ""}, {"file", inputLine, "f.jsonl"}}).ID)
	}
	list := func(query string) (got []string, more bool) {
		resp, body := r.do("GET", "/v1/files"+query, "")
		var page struct {
			Object  string
			Data    []fileObject
			FirstID *string `json:"first_id"`
			LastID  *string `json:"last_id"`
			HasMore bool    `json:"has_more"`
		}
		if err := json.Unmarshal(body, &page); err != nil || resp.StatusCode != 200 || page.Object != "list" {
			t.Fatalf("%s: %s %s", query, resp.Status, body)
		}
		for _, f := range page.Data {
			got = append(got, f.ID)
		}
		if len(got) > 0 && (*page.FirstID != got[0] || *page.LastID != got[len(got)-1]) {
			t.Errorf("%s: %s", query, body)
		}
		return got, page.HasMore
	}
	pick := func(at ...int) string {
		var want []string
		for _, i := range at {
			want = append(want, ids[i])
		}
		return fmt.Sprint(want)
	}
	for _, c := range []struct {
		query string
		want  string
		more  bool
	}{
		{"", pick(6, 5, 4, 3, 2, 1, 0), false},
		{"?order=asc&limit=3", pick(0, 1, 2), true},
		{"?limit=3&after=" + ids[4], pick(3, 2, 1), true},
		{"?limit=3&after=" + ids[3], pick(2, 1, 0), false},
		{"?order=asc&after=" + ids[5], pick(6), false},
		{"?after=" + ids[0], pick(), false},
		{"?purpose=user_data", pick(5, 3, 1), false},
		{"?purpose=user_data&limit=1&order=asc&after=" + ids[1], pick(3), true},
		{"?purpose=vision", pick(), false},
	} {
		if got, more := list(c.query); fmt.Sprint(got) != c.want || more != c.more {
			t.Errorf("%s: %v %v, want %v %v", c.query, got, more, c.want, c.more)
		}
	}
	if resp, _ := r.do("DELETE", "/v1/files/"+ids[4], ""); resp.StatusCode != 200 { // a page's last file goes
		t.Fatal(resp.Status)
	}
	if got, _ := list("?limit=2&after=" + ids[4]); fmt.Sprint(got) != pick(3, 2) {
		t.Errorf("after a deleted one: %v", got)
	}
	for _, query := range []string{"?limit=0", "?limit=10001", "?limit=x", "?order=up"} {
		resp, got := r.do("GET", "/v1/files"+query, "")
		wantError(t, resp, got, 400, "invalid_request_error", "invalid_value")
	}
}
