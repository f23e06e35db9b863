package openai

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

// counter is an Output that only counts.
type counter struct{ chunks int }

func (c *counter) Chunk(*protocol.Chunk) error { c.chunks++; return nil }
func (c *counter) Flush() error                { return nil }
func (c *counter) Answer([]byte) error         { return nil }

func benchRequest(b *testing.B, body string) *provider.Request {
	b.Helper()
	chat, err := protocol.ParseRequest([]byte(body))
	if err != nil {
		b.Fatal(err)
	}
	return &provider.Request{Model: "m", Chat: chat, Stream: chat.Stream, JobID: "0190f5fe7c0a7d3b8f1e2a3b4c5d6e7f"}
}

// BenchmarkStream is one streamed call of a local server that flushes every chunk.
// The server's work is in the time and in the allocations; it writes bytes that
// were made before.
func BenchmarkStream(b *testing.B) {
	for _, chunks := range []int{0, 64, 1024} {
		b.Run(fmt.Sprintf("chunks=%d", chunks), func(b *testing.B) {
			one := []byte(event(`{"content":" token"}`, "null"))
			last := []byte(event(`{}`, `"stop"`) + "data: [DONE]\n\n")
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "text/event-stream")
				flush := w.(http.Flusher)
				for range chunks {
					_, _ = w.Write(one)
					flush.Flush()
				}
				_, _ = w.Write(last)
			}))
			defer srv.Close()
			client := upstream.New(upstream.Config{})
			defer client.Close()
			p := newProvider(b, srv.URL+"/v1", client, nil)
			req := benchRequest(b, `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hello"}]}`)
			b.ReportAllocs()
			for b.Loop() {
				out := counter{}
				if err := p.Complete(b.Context(), req, &out); err != nil || out.chunks != chunks+1 {
					b.Fatal(err, out.chunks)
				}
			}
		})
	}
}

// BenchmarkChunk is what a chunk costs without the network.
func BenchmarkChunk(b *testing.B) {
	const chunks = 1000
	body := strings.Repeat(event(`{"content":" token"}`, "null"), chunks) + event(`{}`, `"stop"`) + "data: [DONE]\n\n"
	client := upstream.New(upstream.Config{Transport: transport(func() io.Reader { return &byEvent{rest: body} })})
	defer client.Close()
	p := newProvider(b, "http://model.test/v1", client, nil)
	req := benchRequest(b, `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hello"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		out := counter{}
		if err := p.Complete(context.Background(), req, &out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*chunks), "ns/chunk")
}

// BenchmarkPlain is one call for a whole answer.
func BenchmarkPlain(b *testing.B) {
	answer := `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("token ", 200) + `"},"finish_reason":"stop"}]}`
	client := upstream.New(upstream.Config{Transport: transport(func() io.Reader { return strings.NewReader(answer) })})
	defer client.Close()
	p := newProvider(b, "http://model.test/v1", client, nil)
	req := benchRequest(b, `{"model":"m","messages":[{"role":"user","content":"Hello"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Complete(context.Background(), req, &counter{}); err != nil {
			b.Fatal(err)
		}
	}
}

// transport answers every request with a body.
type transport func() io.Reader

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(f()), Request: r}, nil
}

// byEvent lets one event arrive at a time.
type byEvent struct{ rest string }

func (e *byEvent) Read(p []byte) (int, error) {
	at := strings.Index(e.rest, "\n\n")
	if at < 0 {
		return 0, io.EOF
	}
	n := copy(p, e.rest[:at+2])
	e.rest = e.rest[n:]
	return n, nil
}
