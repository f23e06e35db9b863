package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
)

// sdk is a client library, as the tests need it. Retries are off.
type sdk interface {
	plain(ctx context.Context, r sdkRequest) (said, error)
	// stream folds the stream; first, if not nil, is called after the first text.
	stream(ctx context.Context, r sdkRequest, first func()) (said, error)
	models(ctx context.Context) ([]string, error)
	model(ctx context.Context, id string) (string, error)
	// refused reads what the library makes of an error; status 0 is one in a stream.
	refused(err error) (refused, bool)
}

// sdkRequest is what the tests ask for, in every library's own words.
type sdkRequest struct {
	model, text           string
	n                     int
	tools, logprobs, json bool
	usage                 bool // include_usage
	temperature           float64
}

// said is an answer, whatever library read it and however it came.
type said struct {
	Choices []saidChoice
	Total   int // tokens
}

type saidChoice struct {
	Content, Refusal, Reasoning, Finish string
	Tools                               []saidTool
	Tokens                              []string // of the log probabilities
}

type saidTool struct{ ID, Name, Arguments string }

// refused is an error of the API.
type refused struct {
	status              int
	kind, code, message string
}

func sdks(c *client) map[string]sdk {
	return map[string]sdk{"openai-go": newOfficial(c), "go-openai": newSashabaranov(c)}
}

// sdkCase is a request and what must come of it.
type sdkCase struct {
	request sdkRequest
	answer  string   // of the model server, as JSON: choices alone
	deltas  []string // the same as a stream: choices of each chunk
	want    []saidChoice
}

func sdkCases() map[string]sdkCase {
	tools := `[{"id":"call_a","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}},{"id":"call_b","type":"function","function":{"name":"get_time","arguments":"{}"}}]`
	return map[string]sdkCase{
		"text": {
			answer: `[{"index":0,"message":{"role":"assistant","content":"Hi, żółw"},"finish_reason":"length"}]`,
			deltas: []string{`{"role":"assistant","content":"Hi, "}`, `{"content":"żółw"}`, `"length"`},
			want:   []saidChoice{{Content: "Hi, żółw", Finish: "length"}},
		},
		"one tool": {
			request: sdkRequest{tools: true},
			answer:  `[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_time","arguments":"{}"}}]},"finish_reason":"tool_calls"}]`,
			deltas: []string{
				`{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_time","arguments":"{}"}}]}`, `"tool_calls"`,
			},
			want: []saidChoice{{Finish: "tool_calls", Tools: []saidTool{{"call_1", "get_time", "{}"}}}},
		},
		"parallel tools": {
			request: sdkRequest{tools: true},
			answer:  `[{"index":0,"message":{"role":"assistant","content":"Both.","tool_calls":` + tools + `},"finish_reason":"tool_calls"}]`,
			deltas: []string{
				`{"role":"assistant","content":"Both."}`,
				`{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"get_weather","arguments":""}}]}`,
				`{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":"\"Paris\"}"}}]}`,
				`{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"get_time","arguments":"{}"}}]}`, `"tool_calls"`,
			},
			want: []saidChoice{{Content: "Both.", Finish: "tool_calls", Tools: []saidTool{{"call_a", "get_weather", `{"city":"Paris"}`}, {"call_b", "get_time", "{}"}}}},
		},
		"two choices": {
			request: sdkRequest{n: 2},
			answer:  `[{"index":0,"message":{"role":"assistant","content":"one"},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":"two"},"finish_reason":"stop"}]`,
			deltas:  []string{`{"role":"assistant","content":"on"}`, `1{"role":"assistant","content":"tw"}`, `{"content":"e"}`, `1{"content":"o"}`, `1"stop"`, `"stop"`},
			want:    []saidChoice{{Content: "one", Finish: "stop"}, {Content: "two", Finish: "stop"}},
		},
		"JSON mode": {
			request: sdkRequest{json: true},
			answer:  `[{"index":0,"message":{"role":"assistant","content":"{\"a\": 1}"},"finish_reason":"stop"}]`,
			deltas:  []string{`{"role":"assistant","content":"{\"a\""}`, `{"content":": 1}"}`, `"stop"`},
			want:    []saidChoice{{Content: `{"a": 1}`, Finish: "stop"}},
		},
		"refusal": {
			answer: `[{"index":0,"message":{"role":"assistant","content":null,"refusal":"I will not."},"finish_reason":"stop"}]`,
			deltas: []string{`{"role":"assistant","refusal":"I will "}`, `{"refusal":"not."}`, `"stop"`},
			want:   []saidChoice{{Refusal: "I will not.", Finish: "stop"}},
		},
		"reasoning": {
			answer: `[{"index":0,"message":{"role":"assistant","content":"42","reasoning_content":"Six by seven."},"finish_reason":"stop"}]`,
			deltas: []string{`{"role":"assistant","content":null,"reasoning_content":"Six "}`, `{"reasoning_content":"by seven."}`, `{"content":"42"}`, `"stop"`},
			want:   []saidChoice{{Content: "42", Reasoning: "Six by seven.", Finish: "stop"}},
		},
		"log probabilities": {
			request: sdkRequest{logprobs: true},
			answer:  `[{"index":0,"message":{"role":"assistant","content":"Hi you"},"logprobs":{"content":[` + logprob("Hi") + `,` + logprob(" you") + `],"refusal":null},"finish_reason":"stop"}]`,
			deltas:  []string{`{"role":"assistant","content":"Hi"}~` + logprob("Hi"), `{"content":" you"}~` + logprob(" you"), `"stop"`},
			want:    []saidChoice{{Content: "Hi you", Finish: "stop", Tokens: []string{"Hi", " you"}}},
		},
	}
}

func logprob(token string) string {
	return `{"token":` + quoted(token) + `,"logprob":-0.5,"bytes":null,"top_logprobs":[]}`
}

// TestSDKs: what a model server says arrives through every library as it was said,
// streamed and not.
func TestSDKs(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for name, tc := range sdkCases() {
		s.model.on(name, func(c *upstreamCall) { c.answerAs(&tc) })
		for library, client := range sdks(s.client) {
			t.Run(name+"/"+library, func(t *testing.T) {
				r := tc.request
				r.model, r.text = "up/"+name, "go on"
				got, err := client.plain(t.Context(), r)
				compare(t, "plain", got, err, said{tc.want, 12})
				s.checkReceived(t, name, r)
				got, err = client.stream(t.Context(), r, nil)
				compare(t, "stream", got, err, said{tc.want, 0})
				r.usage = true
				got, err = client.stream(t.Context(), r, nil)
				compare(t, "stream with usage", got, err, said{tc.want, 12})
				s.checkReceived(t, name, r)
			})
		}
	}
	s.idle(t)
}

func compare(t *testing.T, how string, got said, err error, want said) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %+v\nwant %+v", how, got, want)
	}
}

// checkReceived holds that the model server got what the library sent.
func (s *system) checkReceived(t *testing.T, name string, r sdkRequest) {
	t.Helper()
	n, _ := s.model.seen(name)
	var body map[string]json.RawMessage
	if err := json.Unmarshal(n.body, &body); err != nil {
		t.Fatal(err)
	}
	for member, want := range map[string]bool{
		"tools": r.tools, "parallel_tool_calls": r.tools, "n": r.n > 1, "logprobs": r.logprobs, "response_format": r.json,
	} {
		if _, got := body[member]; got != want {
			t.Errorf("%s arrived: %t, want %t: %s", member, got, want, n.body)
		}
	}
}

// TestSDKsWithEcho: the same with the built-in model.
func TestSDKsWithEcho(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for name, tc := range map[string]struct {
		request sdkRequest
		want    saidChoice
	}{
		"text":      {sdkRequest{model: "echo", text: hello}, saidChoice{Content: hello, Finish: "stop"}},
		"reasoning": {sdkRequest{model: "echo?reasoning=Hm.", text: "so"}, saidChoice{Content: "so", Reasoning: "Hm.", Finish: "stop"}},
		"refusal":   {sdkRequest{model: "echo?refusal=No.", text: "so"}, saidChoice{Refusal: "No.", Finish: "stop"}},
		"JSON":      {sdkRequest{model: "echo", text: "so", json: true}, saidChoice{Content: `{"echo": "so"}`, Finish: "stop"}},
	} {
		for library, client := range sdks(s.client) {
			t.Run(name+"/"+library, func(t *testing.T) {
				r := tc.request
				r.usage = true
				plain, err := client.plain(t.Context(), r)
				want := said{[]saidChoice{tc.want}, plain.Total}
				compare(t, "plain", plain, err, want)
				if plain.Total == 0 {
					t.Error("no usage")
				}
				streamed, err := client.stream(t.Context(), r, nil)
				compare(t, "stream", streamed, err, want)
			})
		}
	}
	for library, client := range sdks(s.client) {
		r := sdkRequest{model: "echo?calls=2&tool=get_weather", text: "so", tools: true, usage: true}
		plain, err := client.plain(t.Context(), r)
		if err != nil || len(plain.Choices) != 1 || len(plain.Choices[0].Tools) != 2 || plain.Choices[0].Finish != "tool_calls" {
			t.Errorf("%s: %+v, %v", library, plain, err)
		}
		for i := range plain.Choices[0].Tools { // each answer has ids of its own
			plain.Choices[0].Tools[i].ID = ""
		}
		streamed, err := client.stream(t.Context(), r, nil)
		for i := range streamed.Choices[0].Tools {
			streamed.Choices[0].Tools[i].ID = ""
		}
		compare(t, library+": tools", streamed, err, plain)
	}
}

// TestSDKCancellation: a context that ends, ends the call at the model server.
func TestSDKCancellation(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.model.on("endless", func(c *upstreamCall) { c.begin(); c.gone() })
	for library, client := range sdks(s.client) {
		r := sdkRequest{model: "up/endless", text: hello}
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := client.stream(ctx, r, cancel); err == nil {
			t.Errorf("%s: a stream that was cancelled ended well", library)
		}
		s.model.awaitNone(t, "endless")
		ctx, cancel = context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := client.plain(ctx, r)
			ended <- err
		}()
		s.model.awaitOpen(t, "endless")
		cancel()
		if err := <-ended; err == nil {
			t.Errorf("%s: a call that was cancelled ended well", library)
		}
		s.idle(t, "endless")
	}
}

// TestSDKModels: the list, and ids with slashes.
func TestSDKModels(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for library, client := range sdks(s.client) {
		var ids []string
		eventually(t, patience, "models of the server", func(ctx context.Context) (err error) {
			if ids, err = client.models(ctx); err == nil && !slices.Contains(ids, "org/m.1/v2") {
				err = fmt.Errorf("listed are %q", ids)
			}
			return err
		})
		for _, id := range ids {
			if got, err := client.model(t.Context(), id); err != nil || got != id {
				t.Errorf("%s: %q is %q, %v", library, id, got, err)
			}
		}
		_, err := client.model(t.Context(), "no/such/model")
		if e, ok := client.refused(err); !ok || e.status != 404 || e.code != "model_not_found" {
			t.Errorf("%s: %+v, %v", library, e, err)
		}
	}
}
