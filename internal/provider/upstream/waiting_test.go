package upstream

import (
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
)

// BenchmarkWaiting is what a stream costs in memory while it waits for its next chunk,
// the server's end (a goroutine and 4 KB) included.
func BenchmarkWaiting(b *testing.B) {
	address := benchServer(b, [][]byte{[]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n: hi\r\n")})
	clients := map[string]http.RoundTripper{"own": nil, "nethttp": otherTransport(&Config{MaxIdlePerHost: 512})}
	for name, transport := range clients {
		b.Run(name, func(b *testing.B) {
			client := New(Config{Transport: transport})
			defer client.Close()
			const streams = 1000
			for b.Loop() {
				before := inUse()
				calls := make([]*Call, streams)
				for i := range calls {
					calls[i] = open(b, client, address)
				}
				b.ReportMetric(float64(inUse()-before)/streams, "B/stream")
				for _, c := range calls {
					c.Abort()
				}
			}
		})
	}
}

func open(b *testing.B, client *Client, address string) *Call {
	b.Helper()
	c, err := client.Do(b.Context(), &Request{URL: address, Body: []byte("{}"), Limits: provider.Limits{Idle: time.Hour}})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		b.Fatal(err)
	}
	return c
}

// inUse is what is held by the heap and by stacks.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
