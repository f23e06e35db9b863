package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/osiris/osiris/pkg/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// against returns a client of a server that answers with h, and how often it was asked.
func against(t *testing.T, cfg Config, h http.HandlerFunc) (*Client, *atomic.Int32) {
	t.Helper()
	var calls atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	cfg.BaseURL = s.URL + "/v1/"
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, &calls
}

// cut ends a connection without an answer.
func cut() { panic(http.ErrAbortHandler) }

const someBatch = `{"id":"batch_1","status":"validating"}`

// What may succeed later is sent again with the same key; what cannot is not.
func TestRepeats(t *testing.T) {
	for name, c := range map[string]struct {
		first  func(w http.ResponseWriter)
		calls  int32
		status int
	}{
		"broken":     {func(http.ResponseWriter) { cut() }, 2, 0},
		"half":       {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "99"); fmt.Fprint(w, "{"); cut() }, 2, 0},
		"overloaded": {func(w http.ResponseWriter) { w.Header().Set("Retry-After-Ms", "1"); w.WriteHeader(503) }, 2, 0},
		"rate limit": {func(w http.ResponseWriter) { w.WriteHeader(429) }, 2, 0},
		"no more money": {func(w http.ResponseWriter) {
			w.WriteHeader(429)
			fmt.Fprint(w, `{"error":{"message":"x","code":"insufficient_quota"}}`)
		}, 1, 429},
		"for good":     {func(w http.ResponseWriter) { w.Header().Set("X-Should-Retry", "false"); w.WriteHeader(500) }, 1, 500},
		"conflict":     {func(w http.ResponseWriter) { w.WriteHeader(409) }, 1, 409},
		"bad":          {func(w http.ResponseWriter) { w.WriteHeader(400); fmt.Fprint(w, "<html>no</html>") }, 1, 400},
		"unauthorized": {func(w http.ResponseWriter) { w.WriteHeader(401) }, 1, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			client, calls := against(t, Config{Key: "k"}, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer k" || r.Header.Get("Idempotency-Key") != "once" || r.URL.Path != "/v1/batches" {
					t.Errorf("%s %v", r.URL, r.Header)
				}
				if body, err := io.ReadAll(r.Body); err != nil || !strings.Contains(string(body), "file-1") {
					t.Errorf("%s, %v", body, err)
				}
				if asked.Add(1) == 1 {
					c.first(w)
					return
				}
				fmt.Fprint(w, someBatch)
			})
			b, err := client.CreateBatch(t.Context(), NewBatch{InputFileID: "file-1"}, "once")
			if calls.Load() != c.calls {
				t.Errorf("asked %d times, want %d", calls.Load(), c.calls)
			}
			e, _ := errors.AsType[*protocol.Error](err)
			if c.status == 0 && (err != nil || b.ID != "batch_1") || c.status != 0 && (e == nil || e.Status != c.status || e.Message == "") {
				t.Errorf("%+v, %v", b, err)
			}
		})
	}
}

// Patience ends, and so does a caller's.
func TestPatienceEnds(t *testing.T) {
	waits := 0
	client, calls := against(t, Config{Patience: 600 * time.Millisecond, Waiting: func(error, time.Duration) { waits++ }}, func(http.ResponseWriter, *http.Request) { cut() })
	_, err := client.Batch(t.Context(), "batch_1")
	if _, broken := errors.AsType[*brokenError](err); !broken || !strings.Contains(err.Error(), "tried for") || calls.Load() < 1 || waits == 0 && calls.Load() > 1 {
		t.Errorf("%v after %d calls and %d waits", err, calls.Load(), waits)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if _, err := client.Batch(ctx, "batch_1"); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
}

// An upload is one form, whatever the file is called, and the same one when it is
// sent again.
func TestUpload(t *testing.T) {
	content := strings.Repeat("line\n", 100_000)
	var kinds []string
	client, calls := against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		kinds = append(kinds, r.Header.Get("Content-Type"))
		if len(kinds) == 1 {
			if _, err := io.CopyN(io.Discard, r.Body, 1000); err != nil {
				t.Error(err)
			}
			cut()
		}
		if r.ContentLength < int64(len(content)) {
			t.Errorf("content length %d", r.ContentLength)
		}
		file, header, err := r.FormFile("file")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		got, err := io.ReadAll(file)
		if err != nil || string(got) != content || header.Filename != `a"b.jsonl` && header.Filename != "a%22b.jsonl" || r.FormValue("purpose") != "batch" {
			t.Errorf("%d bytes of %q for %q, %v", len(got), header.Filename, r.FormValue("purpose"), err)
		}
		fmt.Fprint(w, `{"id":"file-1"}`)
	})
	sent := int64(0)
	f, err := client.Upload(t.Context(), Upload{
		Name: `a"b.jsonl`, Purpose: "batch", Size: int64(len(content)), Key: "k", Sent: func(n int64) { sent = n },
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	})
	if err != nil || f.ID != "file-1" || calls.Load() != 2 || sent != int64(len(content)) {
		t.Fatalf("%+v, %v after %d calls, %d sent", f, err, calls.Load(), sent)
	}
	if kinds[0] != kinds[1] || len(kinds[0]) > len("multipart/form-data; boundary=")+70 {
		t.Errorf("%q", kinds)
	}
}

// A download continues where the connection broke or fell silent, and where an earlier
// one stopped, also from servers that know no ranges.
func TestDownload(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 50_000)
	for name, ranges := range map[string]bool{"ranges": true, "no ranges": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			client, _ := against(t, Config{Idle: 200 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
				call := n.Add(1)
				if !ranges {
					r.Header.Del("Range")
				}
				switch call {
				case 1: // a part, then the connection breaks
					w.Header().Set("Content-Length", strconv.Itoa(len(content)))
					_, _ = w.Write(content[:100_000])
					cut()
				case 2: // silence
					<-r.Context().Done()
				default:
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
				}
			})
			path := filepath.Join(t.TempDir(), "out")
			total := int64(0)
			if err := client.Download(t.Context(), "file-1", path, func(_, all int64) { total = all }); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, content) || total != int64(len(content)) {
				t.Errorf("%d bytes of %d, %v", len(got), total, err)
			}
			if left, _ := filepath.Glob(path + ".*"); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("interrupted before", func(t *testing.T) {
		client, calls := against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		})
		for _, have := range [][]byte{content[:7], content} {
			path := filepath.Join(t.TempDir(), "out")
			if err := os.WriteFile(path+".file-1.part", have, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := client.Download(t.Context(), "file-1", path, nil); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
		if calls.Load() != 4 { // each asks for the rest, and whether it is right
			t.Errorf("%d calls", calls.Load())
		}
	})
	t.Run("another content was begun", func(t *testing.T) {
		for _, tag := range []string{fmt.Sprintf("%x", sha256.Sum256(content)), ""} {
			client, _ := against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
				if tag != "" {
					w.Header().Set("ETag", `"`+tag+`"`)
				}
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
			})
			for name, have := range map[string][]byte{"zeros": make([]byte, 100), "too long": append(slices.Clip(content), "more"...)} {
				path := filepath.Join(t.TempDir(), "out")
				for file, text := range map[string][]byte{path: []byte("old"), path + ".file-1.part": have} {
					if err := os.WriteFile(file, text, 0o640); err != nil {
						t.Fatal(err)
					}
				}
				if err := client.Download(t.Context(), "file-1", path, nil); err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(path)
				if whole := tag != "" || name == "too long"; err != nil || bytes.Equal(got, content) != whole {
					t.Errorf("%s, tag %q: %d bytes, %v", name, tag, len(got), err)
				}
				if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o640 {
					t.Errorf("%v, %v", info.Mode(), err)
				}
			}
		}
	})
	t.Run("not there", func(t *testing.T) {
		client, _ := against(t, Config{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
		dir := t.TempDir()
		if err := client.Download(t.Context(), "file-1", filepath.Join(dir, "out"), nil); err == nil {
			t.Error("no error")
		}
		if left, _ := filepath.Glob(dir + "/*"); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// Errors name what to do about them.
func TestExplain(t *testing.T) {
	client, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	withKey, err := New(Config{Key: "sk-osiris-0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		client *Client
		err    error
		want   string
	}{
		{client, protocol.ErrNoKey(), "osiris keys create"},
		{withKey, protocol.ErrBadKey("sk"), "OSIRIS_API_KEY"},
		{client, protocol.ErrModelNotFound("x"), "--model"},
		{client, protocol.ErrUnknownURL("POST", "/batches"), "/v1"},
		{client, protocol.ErrOverloaded(7 * time.Second), "in 7s"},
		{client, errors.New("plain"), "plain"},
	} {
		if got := c.client.Explain(c.err); !strings.Contains(got, c.want) || strings.Contains(got, "0123456789abcdef") {
			t.Errorf("%v: %q, want %q in it", c.err, got, c.want)
		}
	}
	nobody, err := New(Config{BaseURL: "http://127.0.0.1:1/v1", Patience: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.Batch(t.Context(), "batch_1"); !strings.Contains(nobody.Explain(err), "osiris up") {
		t.Errorf("%s", nobody.Explain(err))
	}
	for _, url := range []string{"here", "ftp://x", "http://", ":"} {
		if _, err := New(Config{BaseURL: url}); err == nil {
			t.Errorf("%s was taken", url)
		}
	}
}
