package anthropic

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

// discard is an output that costs nothing.
type discard struct{}

func (discard) Chunk(*protocol.Chunk) error { return nil }
func (discard) Flush() error                { return nil }
func (discard) Answer([]byte) error         { return nil }

const textDelta = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello, world"}}`

// TestTextDeltaAllocates holds the hot path to its rule: nothing per delta.
func TestTextDeltaAllocates(t *testing.T) {
	s := newStream(discard{}, new(call), "m", false, func() {})
	data := []byte(textDelta)
	allocs := testing.AllocsPerRun(1000, func() {
		if _, err := s.event("content_block_delta", data); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations per text delta", allocs)
	}
}

func BenchmarkTextDelta(b *testing.B) {
	s := newStream(discard{}, new(call), "m", false, func() {})
	data := []byte(textDelta)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := s.event("content_block_delta", data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMapRequest(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			image := strings.Repeat("iVBORw0KGgo=", size/12)
			body := `{"model":"claude-sonnet-4-5","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[` +
				`{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + image + `"}}]}]}`
			chat, err := protocol.ParseRequest([]byte(body))
			if err != nil {
				b.Fatal(err)
			}
			req := &provider.Request{Model: chat.Model, Chat: chat}
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				c, err := mapRequest(req)
				if err != nil || !bytes.Contains(c.body[:64], []byte("claude")) {
					b.Fatal(err)
				}
			}
		})
	}
}
