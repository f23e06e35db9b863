package bench

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	key    = "sk-osiris-benchmark-key"
	chunks = 64
	pause  = 10 * time.Millisecond // between two chunks of a paced stream
)

// BenchmarkPlain asks for whole answers from 64 clients at a time; the model answers
// at once. The metric x-floor is how much more CPU a request costs than through a
// bare reverse proxy.
func BenchmarkPlain(b *testing.B) {
	compare(b, 32, `{"model":"m","messages":[{"role":"user","content":"`+strings.Repeat("word ", 50)+`"}]}`)
}

// BenchmarkPaced reads 200 streams at a time, each of 64 chunks with 10 ms between them.
func BenchmarkPaced(b *testing.B) {
	compare(b, 100, `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`)
}

func compare(b *testing.B, clientsPerCore int, body string) {
	model := httptest.NewServer(http.HandlerFunc(answer))
	b.Cleanup(model.Close)
	var direct, floor float64
	b.Run("direct", func(b *testing.B) { direct = load(b, model.URL, clientsPerCore, body) })
	b.Run("floor", func(b *testing.B) {
		target, err := url.Parse(model.URL)
		if err != nil {
			b.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.FlushInterval = -1
		proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
		server := httptest.NewServer(proxy)
		defer server.Close()
		floor = load(b, server.URL, clientsPerCore, body)
		b.ReportMetric(floor-direct, "added-us/op")
	})
	b.Run("osiris", func(b *testing.B) {
		osiris := load(b, osiris(b, model.URL), clientsPerCore, body)
		b.ReportMetric(osiris-direct, "added-us/op")
		if floor > direct {
			b.ReportMetric((osiris-direct)/(floor-direct), "x-floor")
		}
	})
}

// load has the requests answered and returns the process's CPU time for each, in
// microseconds.
func load(b *testing.B, base string, clientsPerCore int, body string) float64 {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}}
	defer client.CloseIdleConnections()
	ask(b, client, base, body) // whatever happens only once
	before := cpu(b)
	b.SetParallelism(clientsPerCore)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ask(b, client, base, body)
		}
	})
	b.StopTimer()
	each := float64((cpu(b) - before).Microseconds()) / float64(b.N)
	b.ReportMetric(each, "cpu-us/op")
	return each
}

func ask(b *testing.B, client *http.Client, base, body string) {
	req, err := http.NewRequest(http.MethodPost, base+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !complete(got) {
		b.Errorf("status %d, %d bytes: %v", resp.StatusCode, len(got), err)
	}
}

// complete reports whether an answer, streamed or whole, has all its text.
func complete(answer []byte) bool { return bytes.Count(answer, []byte("word")) == chunks }

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// answer is the model server.
func answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		slog.Error("request not read", "error", err)
		return
	}
	switch {
	case r.Method == http.MethodGet:
		_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"bench"}]}`)
	case bytes.Contains(body, []byte(`"stream":true`)):
		stream(w)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%q,"refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":64,"total_tokens":65}}`,
			strings.Repeat("word ", chunks))
	}
}

func stream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := range chunks {
		if i > 0 {
			<-tick.C
		}
		_, _ = io.WriteString(w, `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word "},"logprobs":null,"finish_reason":null}]}`+"\n\n")
		w.(http.Flusher).Flush()
	}
	_, _ = io.WriteString(w, `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
}
