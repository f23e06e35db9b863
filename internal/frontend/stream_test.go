package frontend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// A failure before the first chunk has its own status and headers, streaming or
// not; after it, it is one event and [DONE].
func TestFailure(t *testing.T) {
	r := start(t, anyone(), func(_ context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		if strings.Contains(string(a.Job().Body), "late") {
			if err := a.Chunk([]byte(chunk("Hel"))); err != nil {
				return jobs.Outcome{}, err
			}
		}
		e := protocol.ErrOverloaded(1500 * time.Millisecond)
		e.NoRetry = true
		return jobs.Outcome{}, e
	})
	for _, request := range []string{plainRequest, streamRequest} {
		resp, body := r.post(request)
		wantError(t, resp, body, http.StatusServiceUnavailable, "service_unavailable_error", "server_is_overloaded")
		for name, want := range map[string]string{"Retry-After": "2", "Retry-After-Ms": "1500", "X-Should-Retry": "false"} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
	resp, body := r.post(strings.Replace(streamRequest, "Hello!", "late", 1))
	want := chunk("Hel") + string(protocol.ErrOverloaded(0).AppendEvent(nil)) + protocol.Done
	if resp.StatusCode != http.StatusOK || string(body) != want {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

// While the model is silent the headers come after HoldBack, then comments that no
// client mistakes for an event, then the answer.
func TestSilence(t *testing.T) {
	cfg := anyone()
	cfg.HoldBack, cfg.KeepAlive = 50*time.Millisecond, 30*time.Millisecond
	speakNow := make(chan struct{})
	r := start(t, cfg, func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		<-speakNow
		return speak(ctx, a)
	})
	resp := r.send(t.Context(), http.MethodPost, "/v1/chat/completions", streamRequest)
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for range 2 {
		if line, err := in.ReadString('\n'); line != protocol.KeepAlive {
			t.Fatalf("%q, %v", line, err)
		}
	}
	close(speakNow)
	rest, err := io.ReadAll(in)
	if got := strings.ReplaceAll(string(rest), protocol.KeepAlive, ""); err != nil || got != spoken {
		t.Fatalf("%v: %q", err, rest)
	}
}

// In JSON mode there is no status before the outcome.
func TestNoStatusBeforeTheOutcome(t *testing.T) {
	cfg := anyone()
	cfg.HoldBack, cfg.KeepAlive = time.Millisecond, time.Millisecond
	r := start(t, cfg, func(_ context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		if err := a.Answer([]byte(answer)); err != nil {
			return jobs.Outcome{}, err
		}
		return jobs.Outcome{}, protocol.ErrUpstream("it broke")
	})
	resp, body := r.post(plainRequest)
	wantError(t, resp, body, http.StatusBadGateway, "server_error", "")
}

// A stream that arrives for a JSON request is folded.
func TestFold(t *testing.T) {
	r := start(t, anyone(), func(_ context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		w := protocol.NewStreamWriter(protocol.Envelope{ID: "chatcmpl-" + a.Job().ID.String(), Created: a.Job().Created, Model: a.Job().Model}, true)
		for _, c := range []protocol.Choice{{Content: []byte(`"Hel"`)}, {Content: []byte(`"lo"`)}, {FinishReason: "stop"}} {
			if err := a.Chunk(w.Append(nil, &protocol.Chunk{Choices: []protocol.Choice{c}})); err != nil {
				return jobs.Outcome{}, err
			}
		}
		return jobs.Outcome{}, nil
	})
	resp, body := r.post(plainRequest)
	id := resp.Header.Get("X-Request-Id")
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"content":"Hello"`) || !strings.Contains(string(body), `"`+id+`"`) {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
}

// The deadline is an error with a status before the first byte, an event after it.
func TestDeadline(t *testing.T) {
	cfg := anyone()
	cfg.RequestTimeout = 150 * time.Millisecond
	r := start(t, cfg, nil) // queued, and nobody comes
	for _, request := range []string{plainRequest, streamRequest} {
		resp, body := r.post(request)
		wantError(t, resp, body, http.StatusGatewayTimeout, "server_error", "upstream_timeout")
	}
	cfg.HoldBack = 10 * time.Millisecond
	if err := r.SetConfig(cfg); err != nil {
		t.Fatal(err)
	}
	resp, body := r.post(streamRequest)
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), `data: {"error":{`) || !strings.HasSuffix(string(body), protocol.Done) ||
		strings.Count(string(body), "data: ") != 2 {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

// A stream whose events break off inside is cut: it must not look complete.
func TestBrokenInside(t *testing.T) {
	r := start(t, anyone(), func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		if err := a.Chunk([]byte(chunk("Hel"))); err != nil {
			return jobs.Outcome{}, err
		}
		<-ctx.Done()
		return jobs.Outcome{}, context.Cause(ctx)
	})
	resp := r.send(t.Context(), http.MethodPost, "/v1/chat/completions", streamRequest)
	defer resp.Body.Close()
	first := make([]byte, len(chunk("Hel")))
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	r.client.Close() // the queue's side goes, not the client and not the server
	if rest, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

// Every byte of many streams at once arrives, in order.
func TestManyStreams(t *testing.T) {
	const streams, events = 1000, 20
	r := start(t, anyone(), func(_ context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		for i := range events {
			if err := a.Chunk([]byte(chunk(fmt.Sprintf("%s-%d", a.Job().RequestID, i)))); err != nil {
				return jobs.Outcome{}, err
			}
		}
		return jobs.Outcome{}, a.Chunk([]byte(finish))
	})
	r.http.Transport = &http.Transport{MaxIdleConnsPerHost: streams}
	var wg sync.WaitGroup
	var wrong atomic.Int64
	for i := range streams {
		wg.Go(func() {
			name := fmt.Sprintf("r%d", i)
			resp, err := r.try(t.Context(), http.MethodPost, "/v1/chat/completions", streamRequest, "X-Client-Request-Id", name)
			if err != nil {
				wrong.Add(1)
				return
			}
			defer resp.Body.Close()
			var want strings.Builder
			for n := range events {
				want.WriteString(chunk(fmt.Sprintf("%s-%d", name, n)))
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != want.String()+finish+protocol.Done {
				wrong.Add(1)
			}
		})
	}
	wg.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d of %d streams are wrong", n, streams)
	}
}

// A client that stops reading is cut, and its job ends; another stream goes on
// meanwhile. What is held for it is bounded.
func TestStalledReader(t *testing.T) {
	cfg := anyone()
	cfg.WriteStall = 200 * time.Millisecond
	var sent atomic.Int64
	ended := make(chan error, 1)
	piece := []byte(chunk(strings.Repeat("x", 16<<10)))
	r := start(t, cfg, func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		if a.Job().RequestID != "stalled" {
			return speak(ctx, a)
		}
		for {
			if err := a.Chunk(piece); err != nil {
				ended <- context.Cause(ctx)
				return jobs.Outcome{}, err
			}
			sent.Add(int64(len(piece)))
		}
	})
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	request := strings.Replace(rawPost(streamRequest), "Host: x", "Host: x\r\nX-Client-Request-Id: stalled", 1)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	if resp, body := r.post(streamRequest); resp.StatusCode != http.StatusOK || string(body) != spoken {
		t.Errorf("the other stream: %d %q", resp.StatusCode, body)
	}
	if err := <-ended; !errors.Is(err, jobs.ErrCancelled) {
		t.Errorf("the job ended with %v", err)
	}
	if n := sent.Load(); n > 16<<20 { // the socket's buffers take up to 6 MB of it
		t.Errorf("the worker could send %d bytes to nobody", n)
	}
	// An end would reach the client only after all that it does not take.
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v, not with a reset", err)
	}
}

// One event of several megabytes passes like any other.
func TestLargeEvent(t *testing.T) {
	large := chunk(strings.Repeat("y", 5<<20))
	r := start(t, anyone(), func(_ context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		if err := a.Chunk([]byte(large)); err != nil {
			return jobs.Outcome{}, err
		}
		return jobs.Outcome{}, a.Chunk([]byte(finish))
	})
	if resp, body := r.post(streamRequest); resp.StatusCode != http.StatusOK || string(body) != large+finish+protocol.Done {
		t.Errorf("%d, %d bytes", resp.StatusCode, len(body))
	}
}

// Requests one after the other on one connection: no deadline of the one before
// hits the next.
func TestKeepAliveConnection(t *testing.T) {
	cfg := anyone()
	cfg.WriteStall, cfg.ReadTimeout = 40*time.Millisecond, 40*time.Millisecond
	r := start(t, cfg, func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		select {
		case <-time.After(100 * time.Millisecond): // beyond both
		case <-ctx.Done():
		}
		return speak(ctx, a)
	})
	c := r.raw("")
	in := bufio.NewReader(c)
	for _, request := range []string{streamRequest, plainRequest, streamRequest} {
		if _, err := io.WriteString(c, rawPost(request)); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{streamRequest: spoken, plainRequest: answer}[request]
		if _, body := readNext(t, in); body != want {
			t.Fatalf("%q", body)
		}
	}
}
