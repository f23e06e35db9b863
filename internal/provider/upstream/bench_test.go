package upstream

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
)

// benchServer answers every request with the same writes. It reads a request with one
// buffer, allocates nothing and thinks as little as it can, so that what is measured is
// the client as far as may be.
func benchServer(b *testing.B, writes [][]byte) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { benchServe(conn, writes) })
		}
	})
	b.Cleanup(func() { _ = ln.Close(); running.Wait() })
	return "http://" + ln.Addr().String() + "/v1/chat/completions"
}

func benchServe(conn net.Conn, writes [][]byte) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	name := []byte("Content-Length: ")
	for {
		length := 0
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				break
			}
			if digits, ok := bytes.CutPrefix(line, name); ok {
				for _, c := range digits[:len(digits)-2] {
					length = length*10 + int(c-'0')
				}
			}
		}
		if _, err := in.Discard(length); err != nil {
			return
		}
		for _, w := range writes {
			if _, err := conn.Write(w); err != nil {
				return
			}
		}
	}
}

// benchAnswers are a JSON answer of 1.2 KB and a stream of 64 chunks, each written on its own.
func benchAnswers() map[string][][]byte {
	body := `{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("token ", 190) + `"}}]}`
	whole := fmt.Sprintf("HTTP/1.1 200 OK\r\nDate: Sun, 01 Nov 2026 12:00:00 GMT\r\nServer: uvicorn\r\nContent-Type: application/json\r\nX-Request-Id: 7\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	event := `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1712678400,"model":"m","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}` + "\n\n"
	chunk := strconv.FormatInt(int64(len(event)), 16) + "\r\n" + event + "\r\n"
	stream := [][]byte{[]byte("HTTP/1.1 200 OK\r\nDate: Sun, 01 Nov 2026 12:00:00 GMT\r\nServer: uvicorn\r\nContent-Type: text/event-stream\r\nX-Request-Id: 7\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)}
	for range 62 {
		stream = append(stream, []byte(chunk))
	}
	return map[string][][]byte{"json": {[]byte(whole)}, "stream": append(stream, []byte(chunk+"0\r\n\r\n"))}
}

// BenchmarkCall makes calls with both clients, 64 at a time. cpu-us/op is the time of
// all processors for both ends; "server" is the same exchange made by a client that
// knows the answer's length beforehand, which is nearly all the server's and the kernel's.
func BenchmarkCall(b *testing.B) {
	for _, kind := range []string{"json", "stream"} {
		writes := benchAnswers()[kind]
		address := benchServer(b, writes)
		request := &Request{
			URL: address,
			Header: http.Header{
				"Authorization": {"Bearer sk-0123456789abcdef"}, "Content-Type": {"application/json"},
				"Accept": {"application/json, text/event-stream"}, "Accept-Encoding": {"identity"}, "User-Agent": {"osiris"},
			},
			Body:   []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("word ", 80) + `"}]}`),
			Limits: provider.Limits{Connect: time.Minute, FirstToken: time.Minute, Idle: time.Minute, Total: time.Hour},
		}
		own := New(Config{})
		defer own.Close()
		theirs := New(Config{Transport: otherTransport(&Config{MaxIdlePerHost: 512})})
		defer theirs.Close()
		b.Run(kind+"/own", func(b *testing.B) { benchCalls(b, own, request) })
		b.Run(kind+"/nethttp", func(b *testing.B) { benchCalls(b, theirs, request) })
		b.Run(kind+"/server", func(b *testing.B) { benchFloor(b, address, writes) })
	}
}

func benchCalls(b *testing.B, client *Client, request *Request) {
	b.ReportAllocs()
	b.SetParallelism(32) // of two processors
	cpu := cpuTime()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 8<<10)
		for pb.Next() {
			call, err := client.Do(b.Context(), request)
			if err != nil {
				b.Error(err)
				return
			}
			for err == nil {
				if _, err = call.Read(buf); err == nil {
					call.Payload()
				}
			}
			if call.Close(); err != io.EOF {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/op")
}

// benchFloor writes what a request is and reads as many bytes as the answer has.
func benchFloor(b *testing.B, address string, writes [][]byte) {
	request := []byte("POST / HTTP/1.1\r\nContent-Length: 600\r\n\r\n" + strings.Repeat("x", 600))
	length := len(bytes.Join(writes, nil))
	b.ReportAllocs()
	b.SetParallelism(32)
	cpu := cpuTime()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/v1/chat/completions"))
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		buf := make([]byte, 8<<10)
		for pb.Next() {
			if _, err := conn.Write(request); err != nil {
				b.Error(err)
				return
			}
			for left := length; left > 0; {
				n, err := conn.Read(buf)
				if left -= n; err != nil {
					b.Error(err)
					return
				}
			}
		}
	})
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/op")
}
