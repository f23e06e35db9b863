package worker

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

func newOutput(to events, stream bool) *output {
	o := &output{
		chat: &protocol.Request{},
		to:   to, stream: stream, includeUsage: !stream, start: time.Now(),
		env: protocol.Envelope{ID: "chatcmpl-1", Created: 5, Model: "m"},
	}
	o.begin(time.Now())
	return o
}

func text(s string) *protocol.Chunk {
	return &protocol.Chunk{Choices: []protocol.Choice{{Content: []byte(s)}}}
}

func TestOutputHoldsBackUntilThereIsSomething(t *testing.T) {
	r := &recorder{}
	o := newOutput(r, true)
	for _, c := range []*protocol.Chunk{
		{Extra: []byte(`"prompt_filter_results":[]`)},
		{Choices: []protocol.Choice{{}}},
		text(`""`), text(`null`),
	} {
		if err := errors.Join(o.Chunk(c), o.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	if o.opened || len(r.opened)+len(r.chunks) > 0 {
		t.Fatalf("emitted %q before there was anything to say", r.chunks)
	}
	if err := errors.Join(o.Chunk(text(`"Hi"`)), o.Flush()); err != nil {
		t.Fatal(err)
	}
	if !o.opened || len(r.opened) != 1 || r.number != 1 || !bytes.Contains(r.chunks, []byte(`"content":"Hi"`)) {
		t.Errorf("emitted %d times %q, opened %d times", r.number, r.chunks, len(r.opened))
	}
	if !bytes.Contains(r.chunks, []byte(`"role":"assistant"`)) || !bytes.Contains(r.chunks, []byte(`prompt_filter_results`)) {
		t.Errorf("what was held back is missing in %q", r.chunks)
	}
}

// TestOutputSharesOneRead: chunks leave together when the provider is about to wait,
// and at the latest when they are many.
func TestOutputSharesOneRead(t *testing.T) {
	r := &recorder{}
	o := newOutput(r, true)
	for _, n := range []int{1, 3, 2} {
		before := r.number
		for range n {
			if err := o.Chunk(text(`"Hi"`)); err != nil {
				t.Fatal(err)
			}
		}
		if r.number != before {
			t.Fatalf("%d chunks did not wait for each other", n)
		}
		if err := errors.Join(o.Flush(), o.Flush()); err != nil {
			t.Fatal(err)
		}
		if r.number != before+1 {
			t.Errorf("%d chunks left in %d events, want one", n, r.number-before)
		}
	}
	for range shareMost / 100 {
		if err := o.Chunk(text(`"Hi"`)); err != nil {
			t.Fatal(err)
		}
	}
	if r.number != 4 || len(o.buf) > shareMost {
		t.Errorf("%d events, %d bytes wait: want what is too much to be sent", r.number, len(o.buf))
	}
}

func TestOutputBoundsWhatItHoldsBack(t *testing.T) {
	r := &recorder{}
	o := newOutput(r, true)
	for range 2 * holdMost / 100 {
		if err := o.Chunk(text(`""`)); err != nil {
			t.Fatal(err)
		}
	}
	if r.number == 0 {
		t.Errorf("%d bytes are held back", len(o.buf))
	}
}

func TestOutputEveryPayloadOpens(t *testing.T) {
	for name, ch := range map[string]protocol.Choice{
		"content":   {Content: []byte(`" "`)},
		"refusal":   {Refusal: []byte(`"No"`)},
		"tool call": {ToolCalls: []protocol.ToolCall{{Name: []byte(`"f"`)}}},
		"function":  {FunctionName: []byte(`"f"`)},
		"arguments": {FunctionArguments: []byte(`"{"`)},
		"reasoning": {DeltaExtra: []byte(`"reasoning_content":"Hm"`)},
		"finish":    {FinishReason: "stop"},
	} {
		r := &recorder{}
		o := newOutput(r, true)
		if err := errors.Join(o.Chunk(&protocol.Chunk{Choices: []protocol.Choice{ch}}), o.Flush()); err != nil {
			t.Fatal(err)
		}
		if !o.opened || r.number != 1 {
			t.Errorf("%s was held back", name)
		}
	}
}

// TestOutputNeverFakesAFinish: a stream without finish reason is an error,
// whatever the provider thinks of it.
func TestOutputNeverFakesAFinish(t *testing.T) {
	for name, chunks := range map[string][]*protocol.Chunk{
		"nothing at all":   nil,
		"text only":        {text(`"Hi"`)},
		"role only":        {{Choices: []protocol.Choice{{}}}},
		"usage only":       {{Usage: []byte(`{"total_tokens":1}`)}},
		"one of two":       {text(`"Hi"`), {Choices: []protocol.Choice{{Index: 1, Content: []byte(`"Ho"`)}, {Index: 0, FinishReason: "stop"}}}},
		"finished by fail": {text(`"Hi"`), {Choices: []protocol.Choice{{FinishReason: "error"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{}
			o := newOutput(r, true)
			for _, c := range chunks {
				if err := o.Chunk(c); err != nil {
					t.Fatal(err)
				}
			}
			fault, ok := errors.AsType[*provider.Error](o.end())
			if !ok || fault.Public.Status != 502 || !fault.Retry || !fault.Fallback {
				t.Errorf("error is %#v", fault)
			}
		})
	}
}

func TestOutputWholeAnswer(t *testing.T) {
	for name, stream := range map[string]bool{"to a JSON client": false, "to a stream": true} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{}
			o := newOutput(r, stream)
			if err := o.Answer([]byte(wholeAnswer)); err != nil {
				t.Fatal(err)
			}
			if err := o.end(); err != nil {
				t.Fatal(err)
			}
			if got := o.Usage(); got.TotalTokens != 5 || o.FinishReason() != "stop" {
				t.Errorf("usage %+v, finish reason %q", got, o.FinishReason())
			}
			said := r.answer
			if stream {
				said = r.chunks
			}
			if !bytes.Contains(said, []byte(`"content":"Hello"`)) || !bytes.Contains(said, []byte(`"id":"chatcmpl-1"`)) {
				t.Errorf("emitted answer %q, chunks %q", r.answer, r.chunks)
			}
			if stream == (len(r.answer) > 0) || stream != (len(r.opened) == 1) {
				t.Errorf("answer of %d bytes, opened %d times", len(r.answer), len(r.opened))
			}
			if err := o.Answer([]byte(wholeAnswer)); err == nil {
				t.Error("a second answer was taken")
			}
		})
	}
}

func TestOutputRefusesRubbish(t *testing.T) {
	for _, body := range []string{``, `null`, `[]`, `{"choices":[]}`, `{"choices":"x"}`, `<html>`, `{"error":{"message":"no","code":400}}`} {
		for _, stream := range []bool{false, true} {
			r := &recorder{}
			o := newOutput(r, stream)
			fault, ok := errors.AsType[*provider.Error](o.Answer([]byte(body)))
			if !ok || fault.Public.Status < 500 || !fault.Fallback {
				t.Errorf("%q (stream %v): error is %v", body, stream, fault)
			}
			if o.opened || len(r.answer)+len(r.chunks) > 0 {
				t.Errorf("%q (stream %v) emitted %q", body, stream, r.answer)
			}
		}
	}
}

func TestOutputKeepsTheQueuesError(t *testing.T) {
	gone := errors.New("queue is gone")
	o := newOutput(&recorder{err: gone}, true)
	if err := o.Chunk(text(`"Hi"`)); !errors.Is(err, gone) || !errors.Is(o.refused, gone) {
		t.Errorf("error is %v, kept %v", err, o.refused)
	}
}

// TestOutputStartsOver: a second call shares nothing with the first.
func TestOutputStartsOver(t *testing.T) {
	r := &recorder{}
	o := newOutput(r, true)
	if err := o.Chunk(&protocol.Chunk{Choices: []protocol.Choice{{}}, Usage: []byte(`{"total_tokens":9}`)}); err != nil {
		t.Fatal(err)
	}
	o.begin(time.Now())
	if got := o.Usage(); got != (protocol.Usage{}) || len(o.buf) > 0 {
		t.Errorf("usage %+v and %q are left of the first call", got, o.buf)
	}
	if err := errors.Join(saying("Hi")(t.Context(), o), o.end()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(r.chunks), `"role"`); got != 1 {
		t.Errorf("%d roles in %s", got, r.chunks)
	}
}

// sink counts and forgets.
type sink struct {
	*recorder
	bytes int
}

func (s *sink) Chunk(sse []byte) error {
	s.bytes += len(sse)
	return nil
}

// steadyOutput is an output in the middle of a stream.
func steadyOutput(tb testing.TB) (*output, *protocol.Chunk) {
	tb.Helper()
	o := newOutput(&sink{recorder: &recorder{}}, true)
	c := text(`" word"`)
	for range 10 {
		if err := o.Chunk(c); err != nil {
			tb.Fatal(err)
		}
	}
	return o, c
}

func TestOutputAllocatesNothingPerChunk(t *testing.T) {
	o, c := steadyOutput(t)
	if got := testing.AllocsPerRun(1000, func() { _ = o.Chunk(c) }); got != 0 {
		t.Errorf("%v allocations per chunk", got)
	}
}

// BenchmarkOutputChunk is the worker's own share of a chunk: from the parsed
// chunk to the event that is handed to the queue.
func BenchmarkOutputChunk(b *testing.B) {
	o, c := steadyOutput(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := o.Chunk(c); err != nil {
			b.Fatal(err)
		}
	}
}
