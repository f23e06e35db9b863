package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

var keptEnvelope = Envelope{ID: "chatcmpl-1", Created: 7, Model: "m"}

// Every event has its number in front of its data, one more than the one before.
func TestAppendNumbered(t *testing.T) {
	events := "data: {\"a\":1}\n\ndata: {\"b\":\"x\\n\"}\n\n"
	got, next := AppendNumbered([]byte("before "), []byte(events), 9)
	want := "before id: 9\ndata: {\"a\":1}\n\nid: 10\ndata: {\"b\":\"x\\n\"}\n\n"
	if string(got) != want || next != 11 {
		t.Errorf("%q, next %d", got, next)
	}
	if got, next := AppendNumbered(nil, nil, 5); len(got) != 0 || next != 5 {
		t.Errorf("of nothing: %q, %d", got, next)
	}
}

// A completion becomes the same events at every call, and each suffix of them on
// its own.
func TestAppendAnswerEvents(t *testing.T) {
	const answer = `{"id":"x","choices":[{"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],
		"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`
	all, last, err := AppendAnswerEvents(nil, []byte(answer), keptEnvelope, true, 0)
	if err != nil || last != 3 || !strings.HasPrefix(string(all), "id: 1\ndata: {") {
		t.Fatalf("%v, last %d: %s", err, last, all)
	}
	checkProfile(t, withoutNumbers(t, all), true, true)
	events := strings.SplitAfter(string(all), "\n\n")
	for after := range uint64(5) {
		got, last, err := AppendAnswerEvents(nil, []byte(answer), keptEnvelope, true, after)
		want := strings.Join(events[min(after, 3):], "")
		if err != nil || string(got) != want || last != 3 {
			t.Errorf("after %d: %v, last %d: %q", after, err, last, got)
		}
	}
	if _, _, err := AppendAnswerEvents(nil, []byte(`{"x":1}`), keptEnvelope, true, 0); err == nil {
		t.Error("what is no completion passed")
	}
}

// withoutNumbers checks the numbers of events and takes them away.
func withoutNumbers(t *testing.T, numbered []byte) []byte {
	t.Helper()
	var plain []byte
	n := 1
	for event := range bytes.SplitAfterSeq(numbered, []byte("\n\n")) {
		if len(event) == 0 {
			continue
		}
		data, ok := bytes.CutPrefix(event, fmt.Appendf(nil, "id: %d\ndata: ", n))
		if !ok {
			t.Fatalf("event %d is %q", n, event)
		}
		plain = append(append(plain, "data: "...), data...)
		n++
	}
	return plain
}

// FuzzAnswerEvents: what a provider answers as a whole, turned into events and
// folded again, is what it would have been as a whole.
func FuzzAnswerEvents(f *testing.F) {
	for _, answer := range []string{
		`{"choices":[{"message":{"content":"a"}}]}`,
		`{"choices":[{"index":1,"message":{"content":null,"refusal":"no"}},{"message":{"content":["x",{"type":"thinking","thinking":"hm"}]},"logprobs":{"content":[]}}],"service_tier":"flex"}`,
		`{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"id":"c","type":"custom","custom":{"name":"n","input":"i"}}]},"x":1}],"y":[2],"usage":{"total_tokens":1}}`,
		`{"choices":[{"message":{"function_call":{"name":"f"},"reasoning":"r"},"finish_reason":"eos"}]}`,
	} {
		f.Add([]byte(answer))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		whole, err := NormalizeAnswer(nil, answer, keptEnvelope)
		_, _, err2 := AppendAnswerEvents(nil, answer, keptEnvelope, true, 0)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %v, as events: %v", err, err2)
		}
		if err != nil {
			return
		}
		// A kept completion is what was normalised; its events are those that count.
		events, _, err := AppendAnswerEvents(nil, whole.Body, keptEnvelope, true, 0)
		if err != nil {
			t.Fatalf("%s: %v", whole.Body, err)
		}
		plain := withoutNumbers(t, events)
		if faults := profileFaults(plain, true, true); len(faults) > 0 {
			t.Fatal(faults)
		}
		fold := NewAccumulator(keptEnvelope)
		if err := fold.Add(events); err != nil {
			t.Fatalf("fold: %v", err)
		}
		folded, err := fold.Completion(nil)
		if err != nil {
			t.Fatalf("fold: %v", err)
		}
		var a, b any
		if json.Unmarshal(whole.Body, &a) != nil || json.Unmarshal(folded, &b) != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("whole:  %s\nfolded: %s", whole.Body, folded)
		}
	})
}
