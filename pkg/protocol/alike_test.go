package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func alikeChunk(text string) string {
	return `{"id":"c","created":1,"x":[1],"choices":[{"index":0,"delta":{"content":"` + text + `","y":2},"logprobs":null,"finish_reason":null}],"z":"}"}`
}

// What a Chunk remembers of the chunk before never shows.
func TestAlikeChunks(t *testing.T) {
	first := alikeChunk("a")
	for _, second := range []string{
		alikeChunk("b"), alikeChunk(""), alikeChunk(`\n`), alikeChunk(`\"`), alikeChunk(`\`), alikeChunk("\\u00e9é"), alikeChunk("\xff"),
		alikeChunk("\n"), alikeChunk("\x01"), alikeChunk(`","content":"c`), alikeChunk(`"},"delta":{"content":"c`), alikeChunk(strings.Repeat("x", 2*maxAlike)),
		first[:len(first)-1], first + "}", first + " ", strings.Replace(first, `"a"`, "null", 1), strings.Replace(first, `"a"`, `["a"]`, 1),
		strings.Replace(first, "null}", `"stop"}`, 1), strings.Replace(first, `"a"`, `"a","content":[{"text":"b"}]`, 1),
		strings.Replace(first, `"z"`, `"error"`, 1), `{"choices":[]}`, "",
	} {
		for _, order := range [][]string{{first, second}, {second, first}, {first, second, first}, {second, second}} {
			mustParseAlike(t, order)
		}
	}
}

func FuzzAlikeChunks(f *testing.F) {
	for i := range oddChunks {
		f.Add([]byte(oddChunks[i] + "\n" + oddChunks[(i+1)%len(oddChunks)]))
		f.Add([]byte(oddChunks[i] + "\n" + oddChunks[i]))
	}
	f.Add([]byte(alikeChunk("a") + "\n" + alikeChunk(`b\"`)))
	f.Fuzz(func(t *testing.T, lines []byte) {
		mustParseAlike(t, strings.Split(string(lines), "\n"))
	})
}

// mustParseAlike parses chunks with one Chunk, and each with its own.
func mustParseAlike(t *testing.T, chunks []string) {
	t.Helper()
	var used Chunk
	buf := make([]byte, 0, 1<<10)
	for _, chunk := range chunks {
		buf = append(buf[:0], chunk...) // as a decoder does
		var fresh Chunk
		want, got := ParseChunk([]byte(chunk), &fresh), ParseChunk(buf, &used)
		if (want == nil) != (got == nil) || errors.Is(want, ErrMalformed) != errors.Is(got, ErrMalformed) {
			t.Fatalf("%q after others of %q: %v, want %v", chunk, chunks, got, want)
		}
		if want == nil && said(&used) != said(&fresh) {
			t.Fatalf("%q after others of %q:\n%s\nwant\n%s", chunk, chunks, said(&used), said(&fresh))
		}
	}
}

// said is what a chunk says, as text.
func said(c *Chunk) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%q %q %q", c.Usage, c.ServiceTier, c.Extra)
	for _, ch := range c.Choices {
		fmt.Fprintf(&b, "\n%d %q %q %v %q %q %q %q %q %q", ch.Index, ch.Content, ch.Refusal, ch.ToolCalls, ch.FunctionName,
			ch.FunctionArguments, ch.DeltaExtra, ch.Logprobs, ch.FinishReason, ch.Extra)
	}
	return b.String()
}
