package protocol

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// typicalChunk is what OpenAI sends for a token.
const typicalChunk = `{"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012","object":"chat.completion.chunk","created":1712678400,` +
	`"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_44709d6fcb",` +
	`"choices":[{"index":0,"delta":{"content":" world"},"logprobs":null,"finish_reason":null}],"obfuscation":"xYz"}`

const typicalToolChunk = `{"id":"chatcmpl-AbC","object":"chat.completion.chunk","created":1712678400,"model":"gpt-4o",` +
	`"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"ci"}}]},"logprobs":null,"finish_reason":null}]}`

var benchEnvelope = Envelope{ID: "chatcmpl-0123456789abcdef0123456789abcdef", Created: 1712678400, Model: "gpt-4o", ServiceTier: "default"}

// repeat is an endless stream of one event.
type repeat struct {
	event []byte
	at    int
}

func (r *repeat) Read(p []byte) (n int, _ error) {
	for n < len(p) {
		c := copy(p[n:], r.event[r.at:])
		n += c
		r.at = (r.at + c) % len(r.event)
	}
	return n, nil
}

// forwarder is what a worker does for each chunk: decode, parse, write.
type forwarder struct {
	d   *Decoder
	c   Chunk
	w   *StreamWriter
	dst []byte
}

func newForwarder(chunk string) *forwarder {
	return &forwarder{
		d: NewDecoder(&repeat{event: AppendEvent(nil, []byte(chunk))}, 32<<20),
		w: NewStreamWriter(benchEnvelope, true),
	}
}

func (f *forwarder) step() error {
	ev, err := f.d.Next()
	if err != nil {
		return err
	}
	if err := ParseChunk(ev.Data, &f.c); err != nil {
		return err
	}
	f.dst = f.w.Append(f.dst[:0], &f.c)
	if len(f.dst) == 0 {
		return io.ErrShortWrite
	}
	return nil
}

func TestForwardingAllocatesNothing(t *testing.T) {
	for name, chunk := range map[string]string{
		"content":   typicalChunk,
		"reasoning": strings.Replace(typicalChunk, `"content"`, `"content":null,"reasoning_content"`, 1),
		"tool":      typicalToolChunk,
		"unknown":   strings.Replace(typicalChunk, `"obfuscation"`, `"a":1,"b":{"c":[1,2]},"d"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			f := newForwarder(chunk)
			allocs := testing.AllocsPerRun(1000, func() {
				if err := f.step(); err != nil {
					t.Fatal(err)
				}
			})
			if allocs != 0 {
				t.Errorf("%v allocations per chunk, want none", allocs)
			}
		})
	}
}

func BenchmarkForward(b *testing.B) {
	for _, bench := range []struct{ name, chunk string }{{"content", typicalChunk}, {"tool", typicalToolChunk}} {
		b.Run(bench.name, func(b *testing.B) {
			f := newForwarder(bench.chunk)
			b.SetBytes(int64(len(bench.chunk)))
			b.ReportAllocs()
			for b.Loop() {
				if err := f.step(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecoder(b *testing.B) {
	d := NewDecoder(&repeat{event: AppendEvent(nil, []byte(typicalChunk))}, 32<<20)
	b.SetBytes(int64(len(typicalChunk)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseChunk(b *testing.B) {
	var c Chunk
	data := []byte(typicalChunk)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := ParseChunk(data, &c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNormalizeAnswer(b *testing.B) {
	body := fmt.Appendf(nil, `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":`+
		`{"role":"assistant","content":%q,"refusal":null},"logprobs":null,"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}`, strings.Repeat("some words and more ", 100))
	dst := make([]byte, 0, 8<<10)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NormalizeAnswer(dst, body, benchEnvelope); err != nil {
			b.Fatal(err)
		}
	}
}

// One line of 5 MB that arrives in small reads costs as much per byte as any.
func BenchmarkDecoderLongLine(b *testing.B) {
	event := AppendEvent(nil, bytes.Repeat([]byte("x"), 5<<20))
	b.SetBytes(int64(len(event)))
	for b.Loop() {
		ev, err := NewDecoder(&small{bytes.NewReader(event)}, 32<<20).Next()
		if err != nil || len(ev.Data) != 5<<20 {
			b.Fatal(err, len(ev.Data))
		}
	}
}

// small reads like a socket: at most 4 KB at a time.
type small struct{ r io.Reader }

func (s *small) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), 4096)]) }
