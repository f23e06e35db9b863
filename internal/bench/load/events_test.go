package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzPlainText: where a glance finds text in an event of one choice, decoding finds the same.
func FuzzPlainText(f *testing.F) {
	for _, event := range []string{
		`{"choices":[{"index":0,"delta":{"content":" abc"},"logprobs":null,"finish_reason":null}]}`,
		`{"choices":[{"delta":{"content": "x y"},"finish_reason": null}]}`,
		`{"choices":[{"delta":{"content":"a\"b"}}]}`,
		`{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}`,
		`{"error":{"content":"x"}}`,
		`{"choices":[{"delta":{"content":""}}]}`,
		`{"choices":[{"delta":{"content":null}}]}`,
	} {
		f.Add([]byte(event))
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		text, ok := plainText(event)
		var c chunk
		if !ok || json.Unmarshal(event, &c) != nil || len(c.Choices) != 1 {
			return
		}
		if bytes.Count(event, []byte("content")) > 1 || bytes.ContainsFunc(event, func(r rune) bool { return r >= 0x80 }) {
			return // which of two members counts, and what stands for bytes that are no text, is not of interest
		}
		if want := c.Choices[0].Delta.Content; want != "" && want != string(text) {
			t.Errorf("a glance finds %q, decoding %q in %q", text, want, event)
		}
	})
}

// BenchmarkStream judges streams of 64 chunks.
func BenchmarkStream(b *testing.B) {
	cfg := &Config{Tokens: 64, Size: 9}
	tmpl := &template{prompt: prompt(cfg), spec: answerSpec(cfg)}
	want := tmpl.expected(nil, Model)
	var stream bytes.Buffer
	stream.WriteString(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"bench","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}` + "\n\n")
	for i := range 64 {
		stream.WriteString(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"bench","choices":[{"index":0,"delta":{"content":"`)
		stream.Write(tmpl.spec.AppendPiece(nil, i))
		stream.WriteString(`"},"logprobs":null,"finish_reason":null}]}` + "\n\n")
	}
	stream.WriteString(`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
	in := events{r: bufio.NewReader(nil)}
	b.ReportAllocs()
	for b.Loop() {
		in.r.Reset(bytes.NewReader(stream.Bytes()))
		j := judge{verify: Model, want: want, pieces: 64}
		if err := j.stream(&in); err != nil {
			b.Fatal(err)
		}
	}
}
