package echo

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/providertest"
	"github.com/osiris/osiris/pkg/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func request(t testing.TB, model, body string, stream bool) *provider.Request {
	t.Helper()
	chat, err := protocol.ParseRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return &provider.Request{Model: model, Chat: chat, Stream: stream, JobID: "job"}
}

// ask has the model answer a request without its model member.
func ask(ctx context.Context, t testing.TB, model, body string, stream bool) (*providertest.Recorder, error) {
	t.Helper()
	r := &providertest.Recorder{}
	err := New().Complete(ctx, request(t, model, `{"model":"echo",`+body+`}`, stream), r)
	return r, err
}

const hello = `"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hello, wörld!"}]`

func TestStream(t *testing.T) {
	r, err := ask(t.Context(), t, "echo", hello, true)
	want := "chunk [0]\n" +
		"chunk [0 content=\"Hello\"]\n" +
		"chunk [0 content=\",\"]\n" +
		"chunk [0 content=\" wörld\"]\n" +
		"chunk [0 content=\"!\"]\n" +
		"chunk [0 finish=stop]\n" +
		`chunk usage={"prompt_tokens":7,"completion_tokens":4,"total_tokens":11}` + "\n"
	if err != nil || r.String() != want {
		t.Errorf("%v\n%s", err, r)
	}
}

// cases are requests that show each ability; each is asked streamed and plain.
func cases() map[string]struct{ model, body, text, finish string } {
	tools := `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"integer","minimum":3},"b":{"type":"string"}},"required":["a","b"]}}},{"type":"custom","custom":{"name":"g"}}],`
	return map[string]struct{ model, body, text, finish string }{
		"text":           {"echo", hello, "Hello, wörld!", "stop"},
		"empty":          {"echo", `"messages":[{"role":"user","content":""}]`, "", "stop"},
		"limit":          {"echo", `"max_tokens":2,` + hello, "Hello,", "length"},
		"exact limit":    {"echo", `"max_completion_tokens":4,` + hello, "Hello, wörld!", "stop"},
		"stop":           {"echo", `"stop":["!","wö"],` + hello, "Hello, ", "stop"},
		"two choices":    {"echo", `"n":2,` + hello, "Hello, wörld!", "stop"},
		"logprobs":       {"echo", `"logprobs":true,"top_logprobs":2,` + hello, "Hello, wörld!", "stop"},
		"text knob":      {"echo?text=Good+day", hello, "Good day", "stop"},
		"metadata":       {"echo?text=no", `"metadata":{"echo_text":"yes","other":"x"},` + hello, "yes", "stop"},
		"repeat":         {"echo?repeat=3&text=ab", hello, "ababab", "stop"},
		"tokens":         {"echo?tokens=6", hello, "Hello, wörld!Hello,", "stop"},
		"reasoning":      {"echo?reasoning=Let+me+think.", hello, "Hello, wörld!", "stop"},
		"only reasoning": {"echo?reasoning=Let+me+think.", `"max_tokens":2,` + hello, "", "length"},
		"refusal":        {"echo?refusal=I+will+not.", `"logprobs":true,` + hello, "", "stop"},
		"finish":         {"echo?finish=content_filter", hello, "Hello, wörld!", "content_filter"},
		"no usage":       {"echo?usage=off", hello, "Hello, wörld!", "stop"},
		"json object":    {"echo", `"response_format":{"type":"json_object"},` + hello, `{"echo": "Hello, wörld!"}`, "stop"},
		"json already":   {"echo?text=%7B%22a%22%3A1%7D", `"response_format":{"type":"json_object"},` + hello, `{"a":1}`, "stop"},
		"json schema":    {"echo", `"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","required":["n","s"],"properties":{"n":{"type":"integer"},"s":{"$ref":"#/$defs/s"}},"$defs":{"s":{"enum":["one","two"]}}}}},` + hello, `{"n":0,"s":"one"}`, "stop"},
		"tool knob":      {"echo?tool=f&calls=2", tools + hello, "", "tool_calls"},
		"tool unoffered": {"echo?tool=h&args=%7B%22x%22%3A1%7D", hello, "", "tool_calls"},
		"tool required":  {"echo", tools + `"tool_choice":"required",` + hello, "", "tool_calls"},
		"tool named":     {"echo", tools + `"tool_choice":{"type":"custom","custom":{"name":"g"}},` + hello, "", "tool_calls"},
		"tool auto":      {"echo", tools + `"tool_choice":"auto",` + hello, "Hello, wörld!", "stop"},
		"tool result":    {"echo?tool=f", tools + `"messages":[{"role":"user","content":"Hi"},{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"42"}]`, "42", "stop"},
		"function":       {"echo", `"functions":[{"name":"f"}],"function_call":{"name":"f"},` + hello, "", "function_call"},
		"parts": {"echo", `"messages":[{"role":"user","content":[{"type":"text","text":"See "},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"image_url","image_url":{"url":"https://x.test/a.png"}},{"type":"input_audio","input_audio":{"data":"AAA=","format":"wav"}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AAAAAA=="}}]}]`,
			"See [image: image/png, 3 bytes][image: https://x.test/a.png][audio: wav, 2 bytes][file: a.pdf, application/pdf, 4 bytes]", "stop"},
	}
}

func TestAnswers(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			r, err := ask(t.Context(), t, c.model, c.body, false)
			if err != nil || !r.Answered {
				t.Fatalf("%v, answered %v", err, r.Answered)
			}
			var answer struct {
				Choices []struct {
					Message struct {
						Content *string `json:"content"`
					} `json:"message"`
					FinishReason string `json:"finish_reason"`
				} `json:"choices"`
			}
			if err := json.Unmarshal([]byte(strings.TrimPrefix(r.Events[0], "answer ")), &answer); err != nil {
				t.Fatalf("%v\n%s", err, r)
			}
			for _, ch := range answer.Choices {
				text := ""
				if ch.Message.Content != nil {
					text = *ch.Message.Content
				}
				if text != c.text || ch.FinishReason != c.finish {
					t.Errorf("got %q, %s, want %q, %s", text, ch.FinishReason, c.text, c.finish)
				}
			}
		})
	}
}

// folder is an Output that folds a stream.
type folder struct {
	w    *protocol.StreamWriter
	fold *protocol.Accumulator
	body []byte
}

func (f *folder) Chunk(c *protocol.Chunk) error {
	return f.fold.Add(f.w.Append(nil, c))
}

func (f *folder) Flush() error { return nil }

func (f *folder) Answer(body []byte) error {
	f.body = append([]byte(nil), body...)
	return nil
}

// The whole answer is the fold of the streamed one.
func TestAnswerIsTheFoldOfTheStream(t *testing.T) {
	env := protocol.Envelope{ID: "chatcmpl-job", Created: 1, Model: "echo"}
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			f := &folder{w: protocol.NewStreamWriter(env, true), fold: protocol.NewAccumulator(env)}
			body := `{"model":"echo",` + c.body + `}`
			if err := New().Complete(t.Context(), request(t, c.model, body, true), f); err != nil {
				t.Fatal(err)
			}
			end, err := f.w.AppendEnd(nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.fold.Add(end); err != nil {
				t.Fatal(err)
			}
			folded, err := f.fold.Completion(nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := New().Complete(t.Context(), request(t, c.model, body, false), f); err != nil {
				t.Fatal(err)
			}
			plain, err := protocol.NormalizeAnswer(nil, f.body, env)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := canonical(t, folded), canonical(t, plain.Body); got != want {
				t.Errorf("differ\nfolded %s\nplain  %s", got, want)
			}
		})
	}
}

func canonical(t *testing.T, body []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		model         string
		status        int
		events        int
		retry         bool
		after         time.Duration
		param, phrase string
	}{
		{model: "echo?error=429&retry_after=5s", status: 429, retry: true, after: 5 * time.Second},
		{model: "echo?error=500&message=Boom", status: 502, retry: true, phrase: "Boom"},
		{model: "echo?error=400", status: 400},
		{model: "echo?error=503&after=2", status: 503, events: 3, retry: true},
		{model: "echo?error=cut&after=3", status: 502, events: 4},
		{model: "echo?error=cut&after=1000", status: 502, events: 5},
		{model: "echo?colour=red", status: 400, param: "model", phrase: "delay, error, finish"},
		{model: "echo?delay=fast", status: 400, param: "model", phrase: "duration"},
		{model: "echo?tokens=0", status: 400, param: "model"},
		{model: "echo?error=200", status: 400, param: "model"},
		{model: "echo?%zz", status: 400, param: "model"},
	} {
		r, err := ask(t.Context(), t, c.model, hello, true)
		e, ok := errors.AsType[*provider.Error](err)
		if !ok {
			t.Errorf("%s: got %v", c.model, err)
			continue
		}
		if e.Public.Status != c.status || e.Retry != c.retry || e.RetryAfter != c.after || e.Public.Param != c.param || !strings.Contains(e.Public.Message, c.phrase) {
			t.Errorf("%s: got %s", c.model, providertest.FormatOutcome(err))
		}
		if len(r.Events) != c.events || len(r.Finished) > 0 {
			t.Errorf("%s: %d events, want %d\n%s", c.model, len(r.Events), c.events, r)
		}
	}
	_, err := ask(t.Context(), t, "echo", `"metadata":{"echo_colour":"red"},`+hello, true)
	if e, ok := errors.AsType[*provider.Error](err); !ok || e.Public.Param != "metadata.echo_colour" {
		t.Errorf("got %v", err)
	}
}

func TestBig(t *testing.T) {
	r, err := ask(t.Context(), t, "echo?big=5000000", hello, true)
	if err != nil || len(r.Events[1]) < 5_000_000 || r.Finished[0] != "stop" {
		t.Errorf("%v, the first token's event has %d bytes", err, len(r.Events[1]))
	}
}

func TestOutputsErrorIsReturned(t *testing.T) {
	full := errors.New("full")
	r := &providertest.Recorder{OnEvent: func() error { return full }}
	if err := New().Complete(t.Context(), request(t, "echo", `{"model":"echo",`+hello+`}`, true), r); err != full || len(r.Events) != 1 {
		t.Errorf("got %v after %d events", err, len(r.Events))
	}
}

func TestModels(t *testing.T) {
	models, err := New().Models(t.Context())
	if err != nil || len(models) != 1 || models[0].ID != "echo" {
		t.Errorf("got %v, %v", models, err)
	}
}

// tokenize cuts s into tokens.
func tokenize(s string) (tokens []string) {
	for s != "" {
		n := nextToken(s)
		tokens = append(tokens, s[:n])
		s = s[n:]
	}
	return tokens
}

func FuzzTokenize(f *testing.F) {
	for _, s := range []string{"", " ", "Hello, world!  ", "a\u0301b", "你好，世界", "👩‍👩‍👧‍👦", strings.Repeat("long", 20), "\xff\xfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tokens := tokenize(s)
		if strings.Join(tokens, "") != s {
			t.Errorf("%q becomes %q", s, tokens)
		}
		if countTokens(s) != len(tokens) {
			t.Errorf("%q: %d tokens counted, %d made", s, countTokens(s), len(tokens))
		}
	})
}

func BenchmarkStream(b *testing.B) {
	req := request(b, "echo?tokens=64", `{"model":"echo",`+hello+`}`, true)
	b.ReportAllocs()
	for b.Loop() {
		if err := New().Complete(b.Context(), req, discard{}); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Chunk(*protocol.Chunk) error { return nil }
func (discard) Flush() error                { return nil }

func (discard) Answer([]byte) error { return nil }
