package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// everything is a request with every documented parameter and some others.
const everything = `{"model":"m\u0031","stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},
"messages":[
 {"role":"developer","content":[{"type":"text","text":"Be brief.\u2028\"\\/","prompt_cache_breakpoint":{"mode":"explicit"}}],"name":"dev"},
 {"role":"system","content":"Second"},
 {"role":"user","name":"Żółw_1","content":[{"type":"text","text":"🐢"},
  {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}},
  {"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},
  {"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]},
 {"role":"assistant","content":null,"reasoning_content":"kept","tool_calls":[
  {"id":"c1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"x"}}},
  {"id":"c2","type":"custom","custom":{"name":"g","input":""}}]},
 {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"sunny"}]},
 {"role":"tool","tool_call_id":"c2","content":"12:00"},
 {"role":"assistant","content":[{"type":"refusal","refusal":"no"}],"refusal":null,"name":"bot","audio":{"id":"a"}},
 {"role":"assistant","function_call":{"name":"f","arguments":"{}"}},
 {"role":"function","name":"f","content":null},
 {"role":"user","content":"Again?"}],
"audio":{"voice":"alloy","format":"mp3"},"frequency_penalty":-0.25,"function_call":"none",
"functions":[{"name":"old","description":"deprecated","parameters":{"type":"object","properties":{}}}],
"logit_bias":{"50256":-100,"15":2},"logprobs":true,"max_completion_tokens":77,"max_tokens":78,
"metadata":{"team":"blue","ż\u00f3łw":"\"1\""},"modalities":["text"],"n":1,"parallel_tool_calls":false,
"prediction":{"type":"content","content":[{"type":"text","text":"predicted"}]},"presence_penalty":0.001,
"moderation":{"model":"omni","policy":{"input":{"mode":"score"},"output":null}},"prompt_cache_key":"cache-1",
"prompt_cache_options":{"ttl":"30m","mode":"explicit"},"prompt_cache_retention":"24h","reasoning_effort":"low",
"response_format":{"type":"json_schema","json_schema":{"name":"City_1","description":"d","strict":true,"schema":{"type":"object","$defs":{"x":{"maximum":1e21}}}}},
"safety_identifier":"user-hash","seed":9007199254740993,"service_tier":"flex","stop":["END","\n\n"," 🐢"],"store":true,
"temperature":0.7,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function"}]}},
"tools":[{"type":"function","function":{"name":"get.weather","strict":null,"parameters":{}}},{"type":"custom","custom":{"name":"shell","format":{"type":"grammar","grammar":{"definition":"x","syntax":"lark"}}}}],
"top_logprobs":3,"top_p":0.95,"user":"user-1","verbosity":"low",
"web_search_options":{"search_context_size":"low","user_location":{"type":"approximate","approximate":{"city":"Kraków","country":"PL"}}},
"top_k":40,"chat_template_kwargs":{"deep":[1,{"a":null}]},"x_unknown":[0.1,1e-7,12345678901234567890]}`

func TestParseRequestFields(t *testing.T) {
	base := Request{Model: "m", N: 1}
	with := func(change func(*Request)) Request { r := base; change(&r); return r }
	for _, c := range []struct {
		name, body string
		want       Request
	}{
		{"least", `{"model":"m","messages":` + hi + `}`, base},
		{"everything", everything, Request{
			Model: "m1", Stream: true, IncludeUsage: true, ServiceTier: "flex", N: 1, MaxTokens: 77, Store: true,
			Metadata: map[string]string{"team": "blue", "żółw": `"1"`},
		}},
		{"n as 3.0", withParams(`"n":3.0`), with(func(r *Request) { r.N = 3 })},
		{"n as 1e2", withParams(`"n":1e2`), with(func(r *Request) { r.N = 100 })},
		{"n 128", withParams(`"n":128`), with(func(r *Request) { r.N = 128 })},
		{"max_tokens alone", withParams(`"max_tokens":5`), with(func(r *Request) { r.MaxTokens = 5 })},
		{"max_completion_tokens wins", withParams(`"max_completion_tokens":7,"max_tokens":5`), with(func(r *Request) { r.MaxTokens = 7 })},
		{"null is absent", withParams(`"max_completion_tokens":null,"max_tokens":5,"n":null,"stream":null,"metadata":null`), with(func(r *Request) { r.MaxTokens = 5 })},
		{"max_tokens 0 is unset", withParams(`"max_tokens":0`), base},
		{"stream false with options", withParams(`"stream":false,"stream_options":{"include_usage":true}`), with(func(r *Request) { r.IncludeUsage = true })},
		{"include_usage null", withParams(`"stream":true,"stream_options":{"include_usage":null}`), with(func(r *Request) { r.Stream = true })},
		{"escaped names", `{"mo\u0064el":"m","messages":` + hi + `,"str\u0065am":true}`, with(func(r *Request) { r.Stream = true })},
		{"empty metadata", withParams(`"metadata":{}`), with(func(r *Request) { r.Metadata = map[string]string{} })},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseRequest([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			c.want.Body = []byte(c.body)
			if !reflect.DeepEqual(*got, c.want) {
				t.Errorf("got  %+v\nwant %+v", *got, c.want)
			}
			again, err := DecodeRequest([]byte(c.body))
			if err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("decoded %+v, %v", again, err)
			}
		})
	}
}

func TestParseRequestAcceptsOddities(t *testing.T) {
	for _, params := range []string{
		`"stream_options":{"include_usage":true}`,
		`"stream_options":{}`,
		`"top_logprobs":0`,
		`"functions":[{"name":"f"}],"tools":[{"type":"function","function":{"name":"f"}}]`,
		`"tools":[],"tool_choice":"none"`,
		`"max_tokens":0,"max_completion_tokens":0`,
		`"temperature":0,"top_p":0`, `"temperature":2.0,"top_p":1`, `"temperature":1e-400`,
		`"seed":-9223372036854775808`, `"seed":9223372036854775807`,
		`"stop":"x"`, `"stop":""`, `"stop":null`,
		`"logit_bias":{}`, `"logit_bias":{"5":1.0}`,
		`"metadata":{"k":"` + strings.Repeat("ż", 512) + `"}`,
		`"metadata":{"` + strings.Repeat("ż", 64) + `":""}`,
		`"response_format":{"type":"text"}`, `"response_format":null`,
		`"modalities":[]`, `"audio":null`, `"prediction":{"type":"content","content":"x"}`,
		`"audio":{"voice":{"id":"v"},"format":"wav"}`,
		`"web_search_options":{}`, `"":1`, `"x":{"":{"":[]}}`,
		`"logit_bias":` + wideObject(100_000),
		`"x":[` + strings.Repeat(wideObject(60)+`,`, 5000) + `0]`,
		`"x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500),
	} {
		if _, err := ParseRequest([]byte(withParams(params))); err != nil {
			t.Errorf("%.200s: %v", params, err)
		}
	}
	for _, messages := range []string{
		`{"content":"role last","role":"user"}`,
		`{"content":[{"text":"t","type":"text"}],"x":{"role":"bot"},"role":"user"}`,
		`{"role":"assistant","content":""}`,
		`{"role":"assistant","content":null}`,
		`{"role":"assistant","refusal":"no"}`,
		`{"role":"assistant","content":"x","tool_calls":null,"function_call":null,"audio":null,"name":null}`,
		`{"role":"tool","tool_call_id":"","content":""}`,
		`{"role":"user","content":[{"type":"file","file":{}}]}`,
	} {
		if _, err := ParseRequest([]byte(withMessages(messages))); err != nil {
			t.Errorf("%s: %v", messages, err)
		}
	}
}

func TestDecodeRequestRefusesWhatIsNoRequest(t *testing.T) {
	for _, body := range []string{
		``, ` `, `{`, `[]`, `null`, `{}`, `{"model":5}`, `{"model":"m"`, `{"model":"m","n":"x"}`, `{"model":"m","n":1.5}`,
		`{"model":"m","stream":"true"}`, `{"model":"m","stream_options":[]}`, `{"model":"m","stream_options":{"include_usage":1}}`,
		`{"model":"m","metadata":{"a":1}}`, `{"model":"m","metadata":[]}`, `{"model":"m\ud800"}`,
	} {
		r, err := DecodeRequest([]byte(body))
		if _, ok := err.(*Error); !ok {
			t.Errorf("%s: %+v, %v", body, r, err)
		}
	}
}

// TestParseRequestKeepsBody: the body is retained, not copied and not changed.
func TestParseRequestKeepsBody(t *testing.T) {
	body := []byte(everything)
	r, err := ParseRequest(body)
	if err != nil {
		t.Fatal(err)
	}
	if &r.Body[0] != &body[0] || string(body) != everything {
		t.Error("the body was copied or changed")
	}
}

// TestParseRequestMemory: a large body is checked where it lies.
func TestParseRequestMemory(t *testing.T) {
	image := withMessages(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` +
		strings.Repeat("iVBORw0K", 1<<18) + `"}}]}`)
	for name, body := range map[string]string{
		"image": image,
		"deep":  strings.Repeat(`{"x":`, 1<<19),
		"wide":  withParams(`"x":` + wideObject(1<<20)),
		"long":  withParams(`"x":[` + strings.Repeat("[],", 1<<19) + `0]`),
	} {
		t.Run(name, func(t *testing.T) {
			b := []byte(body)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = ParseRequest(b)
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			if allocated > 32<<20 || allocated > 1<<18 && name != "wide" {
				t.Errorf("%d bytes allocated for a body of %d", allocated, len(b))
			}
		})
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(everything))
	for _, c := range faultCases {
		if len(c.body) < 4096 {
			f.Add([]byte(c.body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sent := bytes.Clone(body)
		r, err := ParseRequest(body)
		if !bytes.Equal(body, sent) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			e, ok := err.(*Error)
			if !ok || e.Status != 400 || e.Message == "" || e.Type != TypeInvalidRequest || !json.Valid(e.AppendJSON(nil)) {
				t.Fatalf("error %#v", err)
			}
			return
		}
		var v struct {
			Model               *string
			Stream              *bool
			N                   *json.Number
			MaxTokens           *json.Number `json:"max_tokens"`
			MaxCompletionTokens *json.Number `json:"max_completion_tokens"`
			Messages            []map[string]any
			Metadata            map[string]string
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(body, &members); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		if err := unmarshalExact(members, &v.Model, "model"); err != nil || v.Model == nil || *v.Model != r.Model || r.Model == "" {
			t.Fatalf("model %q, error %v", r.Model, err)
		}
		if err := unmarshalExact(members, &v.Messages, "messages"); err != nil || len(v.Messages) == 0 {
			t.Fatalf("messages %v, error %v", v.Messages, err)
		}
		if err := unmarshalExact(members, &v.Stream, "stream"); err != nil || (v.Stream != nil && *v.Stream) != r.Stream {
			t.Fatalf("stream %v, error %v", r.Stream, err)
		}
		if err := unmarshalExact(members, &v.Metadata, "metadata"); err != nil || !maps.Equal(v.Metadata, r.Metadata) {
			t.Fatalf("metadata %v and %v, error %v", v.Metadata, r.Metadata, err)
		}
		if r.N < 1 || r.N > 128 || r.MaxTokens < 0 {
			t.Fatalf("n %d, max tokens %d", r.N, r.MaxTokens)
		}
		if again, err := DecodeRequest(body); err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("decoded %+v, %v", again, err)
		}
	})
}

// unmarshalExact reads one member by its exact name, unlike encoding/json's own matching.
func unmarshalExact(members map[string]json.RawMessage, into any, name string) error {
	raw, ok := members[name]
	if !ok {
		return nil
	}
	return json.Unmarshal(raw, into)
}

// typical is a request of about 1 KB as chat clients send them.
var typical = []byte(`{"model":"gpt-4o","messages":[{"role":"system","content":"You are a helpful assistant. Answer briefly and in the user's language."},` +
	`{"role":"user","content":"What is the difference between a queue and a stack? Please give an example of each from daily life, and say when to use \"deque\"."},` +
	`{"role":"assistant","content":"A queue is first in, first out, like people waiting at a counter.\nA stack is last in, first out, like a pile of plates."},` +
	`{"role":"user","content":[{"type":"text","text":"And a priority queue?"}]}],"temperature":0.7,"top_p":1,"max_completion_tokens":512,"stream":true,` +
	`"stream_options":{"include_usage":true},"user":"user-1234","tools":[{"type":"function","function":{"name":"get_weather","description":"Weather of a city",` +
	`"parameters":{"type":"object","required":["city"],"properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1}}}}}],"tool_choice":"auto"}`)

func BenchmarkParseRequest(b *testing.B) {
	image := []byte(withMessages(fmt.Sprintf(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}]}`,
		strings.Repeat("iVBORw0K", 20<<17))))
	for name, body := range map[string][]byte{"1KB": typical, "20MB": image, "deep": []byte(strings.Repeat("[", 10_000))} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = ParseRequest(body)
			}
		})
	}
}

func BenchmarkDecodeRequest(b *testing.B) {
	b.SetBytes(int64(len(typical)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeRequest(typical); err != nil {
			b.Fatal(err)
		}
	}
}
