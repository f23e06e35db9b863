package frontend

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// awaitInUse waits until bodies take n bytes.
func (r *rig) awaitInUse(n int64) {
	r.t.Helper()
	late := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for r.bodies.inUse() != n {
		select {
		case <-tick.C:
		case <-late:
			r.t.Fatalf("bodies take %d bytes, want %d", r.bodies.inUse(), n)
		}
	}
}

// padded is a request of n bytes.
func padded(n int) string { return plainRequest + strings.Repeat(" ", n-len(plainRequest)) }

// TestBodiesInFlight holds that bodies have only so much room together: whoever comes
// when there is none is refused before the body is read, small requests go on, and
// the room comes back however a request ends.
func TestBodiesInFlight(t *testing.T) {
	cfg := anyone()
	cfg.MaxBody, cfg.MaxBodies = 1<<20, 1<<20
	r := start(t, cfg, speak)
	const large = 700 << 10
	overloaded := func(resp *http.Response, body []byte) {
		t.Helper()
		wantError(t, resp, body, http.StatusServiceUnavailable, protocol.TypeServiceUnavailable, "server_is_overloaded")
		if resp.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	ends := map[string]func(c io.ReadWriteCloser){
		"sent":  nil,
		"gone":  func(c io.ReadWriteCloser) { _ = c.Close() },
		"wrong": nil,
	}
	for name, leave := range ends {
		t.Run(name, func(t *testing.T) {
			text := rawPost(padded(large))
			if name == "wrong" {
				text = strings.ReplaceAll(text, `"role"`, `"rule"`)
			}
			c := r.raw(text[:len(text)-large/2])
			r.awaitInUse(large)

			resp, body := readResponse(t, r.raw(fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", large)))
			overloaded(resp, body)
			resp, body = readResponse(t, r.raw(fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", large)))
			overloaded(resp, body)
			resp, body = readResponse(t, r.raw(fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", large, padded(large))))
			overloaded(resp, body)
			resp, body = r.post(gzipped(padded(large)), "Content-Encoding", "gzip")
			overloaded(resp, body)
			if resp, body := r.post(plainRequest); resp.StatusCode != http.StatusOK {
				t.Errorf("small request: %d %s", resp.StatusCode, body)
			}
			r.awaitInUse(large)

			if leave != nil {
				leave(c)
			} else {
				if _, err := io.WriteString(c, text[len(text)-large/2:]); err != nil {
					t.Fatal(err)
				}
				want := http.StatusOK
				if name == "wrong" {
					want = http.StatusBadRequest
				}
				if resp, body := readResponse(t, c); resp.StatusCode != want {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
			}
			r.awaitInUse(0)
			if resp, body := r.post(padded(large)); resp.StatusCode != http.StatusOK {
				t.Errorf("afterwards: %d %s", resp.StatusCode, body)
			}
		})
	}
}

// TestRoomComesBack holds that no way to send a large body keeps room for good.
func TestRoomComesBack(t *testing.T) {
	cfg := anyone()
	cfg.MaxBody, cfg.ReadTimeout = 1<<20, 150*time.Millisecond
	r := start(t, cfg, speak)
	const large = 300 << 10
	stream := streamRequest + strings.Repeat(" ", large)
	for name, header := range map[string][]string{
		"plain": nil, "gzip": {"Content-Encoding", "gzip"}, "asked": {"Expect", "100-continue"},
	} {
		for _, body := range []string{padded(large), stream, strings.Repeat("x", large)} {
			if name == "gzip" {
				body = gzipped(body)
			}
			r.post(body, header...)
			r.awaitInUse(0)
		}
	}
	for name, text := range map[string]string{
		"chunked":      fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", large, padded(large)),
		"bad chunk":    fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", large, padded(large+10)),
		"slow":         rawPost(padded(large))[:large/2],
		"asked, slow":  fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", large),
		"other route":  strings.Replace(rawPost(padded(large)), "/v1/chat", "/v1/nothing", 1),
		"two lengths":  strings.Replace(rawPost(padded(large)), "Host: x", "Host: x\r\nTransfer-Encoding: chunked", 1),
		"unknown verb": strings.Replace(rawPost(padded(large)), "POST", "BREW", 1),
	} {
		t.Run(name, func(t *testing.T) {
			c := r.raw(text)
			readResponse(t, c)
			r.awaitInUse(0)
		})
	}
}

// TestBodyIsDroppedOnceStored holds that an answer that takes long keeps no room.
func TestBodyIsDroppedOnceStored(t *testing.T) {
	begun, over := make(chan struct{}), make(chan struct{})
	r := start(t, anyone(), func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		if len(a.Job().Body) < 300<<10 {
			t.Errorf("the worker has %d bytes", len(a.Job().Body))
		}
		close(begun)
		<-over
		return speak(ctx, a)
	})
	resp := make(chan *http.Response, 1)
	go func() {
		got, err := r.try(t.Context(), http.MethodPost, "/v1/chat/completions", padded(300<<10))
		if err != nil {
			t.Error(err)
		}
		resp <- got
	}()
	<-begun
	r.awaitInUse(0)
	close(over)
	if got := <-resp; got != nil {
		got.Body.Close()
		if got.StatusCode != http.StatusOK {
			t.Error(got.Status)
		}
	}
}
