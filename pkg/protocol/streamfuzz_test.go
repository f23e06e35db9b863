package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// oddChunks are what odd servers send; they seed the fuzzers.
var oddChunks = []string{
	typicalChunk, typicalToolChunk,
	`{"choices":[],"id":"","created":0,"prompt_filter_results":[{"prompt_index":0}]}`,
	`{"choices":null,"usage":{"prompt_tokens":1,"completion_tokens":2.0,"total_tokens":null,"x":[1]}}`,
	`{"choices":[{"delta":{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a\"b"}],"x":1}}]}`,
	`{"choices":[{"index":1,"delta":null,"content_filter_offsets":{"a":1},"finish_reason":""}]}`,
	`{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"},"finish_reason":"eos"}]}`,
	`{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":{"a":"\u00e9\n"}}},{"id":"x","custom":{"name":"c","input":"i"}}]},"finish_reason":"stop"}]}`,
	`{"choices":[{"delta":{"tool_calls":[{"index":3,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}`,
	`{"choices":[{"delta":{"tool_calls":[{"index":3,"function":{"arguments":"{\"b\":\"}\"}"}}]}}]}`,
	`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"later"}]}}]}`,
	`{"choices":[{"delta":{"function_call":{"name":"f","arguments":""},"refusal":"no"},"logprobs":{"content":[{"token":"a"}]}}]}`,
	`{"choices":[{"delta":{"reasoning_content":"r","reasoning":"q"},"logprobs":{},"finish_reason":"length"}],"x_groq":{"id":"r","usage":{"prompt_tokens":1}}}`,
	`{"choices":[{"index":2,"delta":{},"finish_reason":"error"}]}`,
	`{"choices":[{"delta":{},"finish_reason":"tool_use","error":{"code":502,"message":"m"}}]}`,
	`{"error":{"message":"m","type":"","code":429}}`, `{"error":"text","error_type":"t"}`, `{"object":"error","message":"m","code":400}`,
	`[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]`, `{"error":null,"\u0065rror":null,"a":1,"a":2,"b":"\ud800"}`,
	"{\"choices\":[\n{\"delta\":{\"content\":\"\xff\xfe\"}}]}", "{\"a\":\"\x01\"}", `{"a":01}`, `{`, ``, `[]`, `null`,
}

// FuzzDecoder: any bytes give the same events however they are cut, and events
// that were written are read again.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("\xef\xbb\xbfdata: a\r\rdata:b\ndata: c\r\n\r\n: x\n\nevent: e\nerror: {}\n\ndata: [DONE]"), uint8(1), uint16(100))
	f.Add([]byte("\n\r\n\rdata\n\ndata:\n\nid: 1\nretry: 3\ndata: x"), uint8(3), uint16(4))
	f.Fuzz(func(t *testing.T, data []byte, cut uint8, limit uint16) {
		maxLine := int(limit) + 1
		whole, wholeErr := decodeAll(NewDecoder(bytes.NewReader(data), maxLine))
		parts, partsErr := decodeAll(NewDecoder(&cutReader{data, int(cut)%7 + 1}, maxLine))
		if !reflect.DeepEqual(whole, parts) || !errors.Is(partsErr, wholeErr) {
			t.Fatalf("whole: %+v %v\nin parts: %+v %v", whole, wholeErr, parts, partsErr)
		}
		if len(data) == 0 || bytes.ContainsRune(data, '\r') {
			return
		}
		again, err := decodeAll(NewDecoder(bytes.NewReader(AppendEvent(nil, data)), 7*len(data)+16))
		if err != nil || len(again) != 1 || !bytes.Equal(again[0].Data, data) {
			t.Fatalf("written %q, read %+v, %v", data, again, err)
		}
	})
}

// FuzzParseChunk: what passes is JSON, and so is every span of it.
func FuzzParseChunk(f *testing.F) {
	for _, c := range oddChunks {
		f.Add([]byte(c))
	}
	var c Chunk
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		err := ParseChunk(data, &c)
		if !bytes.Equal(before, data) {
			t.Fatal("the data was changed")
		}
		if err != nil {
			e, ok := err.(*Error)
			if !ok || e.Status < 400 || e.Status > 599 || e.Message == "" || e.Type == "" {
				t.Fatalf("error %#v", err)
			}
			return
		}
		clean := jsontext.Value(bytes.ToValidUTF8(data, []byte("\uFFFD")))
		if !clean.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			t.Fatalf("not JSON, yet parsed: %q", data)
		}
		for _, ch := range c.Choices {
			for _, raw := range [][]byte{ch.Content, ch.Refusal, ch.Logprobs, ch.FunctionName, ch.FunctionArguments} {
				mustBeJSON(t, raw)
			}
			for _, extra := range [][]byte{c.Extra, ch.Extra, ch.DeltaExtra} {
				mustBeJSON(t, []byte("{"+string(extra)+"}"))
			}
			for _, tc := range ch.ToolCalls {
				mustBeJSON(t, tc.Arguments)
				mustBeJSON(t, []byte("{"+string(tc.Extra)+"}"))
			}
		}
	})
}

func mustBeJSON(t *testing.T, raw []byte) {
	t.Helper()
	if raw == nil {
		return
	}
	if bytes.ContainsAny(raw, "\r\n") || !jsontext.Value(raw).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		t.Fatalf("span is no JSON: %q", raw)
	}
}

// FuzzStreamWriter: whatever arrives, line by line, what is written keeps to the
// profile, and a stream that is complete folds to a completion.
func FuzzStreamWriter(f *testing.F) {
	for i := range oddChunks {
		f.Add([]byte(oddChunks[i]+"\n"+oddChunks[(i*7+5)%len(oddChunks)]+"\n"+`{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}`), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, lines []byte, includeUsage bool) {
		env := Envelope{ID: "chatcmpl-1", Created: 7, Model: "m"}
		w := NewStreamWriter(env, includeUsage)
		var c Chunk
		var out []byte
		for line := range bytes.SplitSeq(lines, []byte("\n")) {
			if ParseChunk(line, &c) == nil {
				out = w.Append(out, &c)
			}
		}
		out, err := w.AppendEnd(out)
		checkProfile(t, out, includeUsage, err == nil)
		a := NewAccumulator(env)
		if err := a.Add(out); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		body, foldErr := a.Completion(nil)
		if (err == nil) != (foldErr == nil) {
			t.Fatalf("written: %v, folded: %v\n%s", err, foldErr, out)
		}
		if foldErr == nil && !jsontext.Value(body).IsValid(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) {
			t.Fatalf("completion is no JSON: %s", body)
		}
	})
}

// FuzzAnswer: an answer that is split, written and folded is the normalised one.
func FuzzAnswer(f *testing.F) {
	for _, a := range wholeAnswers {
		f.Add([]byte(a))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkAnswerFolds(t, body) })
}

func checkAnswerFolds(t *testing.T, body []byte) {
	t.Helper()
	env := Envelope{ID: "chatcmpl-1", Created: 7, Model: "m"}
	answer, err := NormalizeAnswer(nil, body, env)
	chunks, splitErr := SplitAnswer(body)
	if (err == nil) != (splitErr == nil) {
		t.Fatalf("normalised: %v, split: %v", err, splitErr)
	}
	if err != nil {
		return
	}
	w := NewStreamWriter(env, true)
	var out []byte
	for i := range chunks {
		out = w.Append(out, &chunks[i])
	}
	if out, err = w.AppendEnd(out); err != nil {
		t.Fatal(err)
	}
	checkProfile(t, out, true, true)
	acc := NewAccumulator(env)
	if err := acc.Add(out); err != nil {
		t.Fatal(err)
	}
	folded, err := acc.Completion(nil)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal(answer.Body, &a); err != nil {
		t.Fatalf("%v: %s", err, answer.Body)
	}
	if err := json.Unmarshal(folded, &b); err != nil {
		t.Fatalf("%v: %s", err, folded)
	}
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("normalised %s\nfolded     %s\nstream %s", answer.Body, folded, out)
	}
}

// wholeAnswers are completions, good and odd ones.
var wholeAnswers = []string{
	`{"id":"x","object":"chat.completion","created":1,"model":"n","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"cost":0.1},"service_tier":"default","system_fingerprint":"fp"}`,
	`{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"function":{"name":"f","arguments":{"a":1}},"extra_content":{"g":1}}]},"finish_reason":"stop"}]}`,
	`{"choices":[{"index":1,"message":{"content":"b"},"finish_reason":"eos"},{"index":0,"message":{"content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"a"}]},"finish_reason":"length","stop_reason":7}],"usage":null,"system_fingerprint":null}`,
	`{"choices":[{"message":{"role":"assistant","content":"","reasoning_content":"r","refusal":"no","function_call":{"name":"f","arguments":"{}"}},"logprobs":{"content":[{"token":"a"},{"token":"b"}]},"finish_reason":null}],"timings":{"a":1}}`,
	`{"choices":[{"message":{"content":"x","tool_calls":[]},"logprobs":{"content":[],"refusal":null,"more":{"x":1}},"finish_reason":""}]}`,
	`{"choices":[{"message":{"content":null,"tool_calls":[{"id":"","type":"custom","custom":{"name":"sh","input":"ls"}}]},"finish_reason":"tool_calls"}]}`,
	"\n\n{\n \"choices\": [\n {\"message\": {\"content\": \"pretty\"}, \"finish_reason\": \"stop\"}\n]}\n",
}

func TestAnswersFoldBack(t *testing.T) {
	for _, a := range wholeAnswers {
		checkAnswerFolds(t, []byte(a))
	}
}

// cutReader gives at most n bytes at a time.
type cutReader struct {
	data []byte
	n    int
}

func (r *cutReader) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), r.n)], r.data)
	r.data = r.data[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// decodeAll returns all events with data of their own; err is nil at the end.
func decodeAll(d *Decoder) ([]Event, error) {
	var all []Event
	for {
		ev, err := d.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		ev.Data, ev.ID = bytes.Clone(ev.Data), bytes.Clone(ev.ID)
		all = append(all, ev)
	}
}
