package protocol

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestParseChunkRefuses(t *testing.T) {
	deep := strings.Repeat("[", maxSpanDepth+1) + strings.Repeat("]", maxSpanDepth+1)
	for name, data := range map[string]string{
		"nothing": "", "half": `{"choices":[{"delta":{"content":"a`, "more": `{} {}`, "array": `[]`, "text": `"a"`,
		"control character": "{\"choices\":[{\"delta\":{\"content\":\"a\x07b\"}}]}", "line break in a string": "{\"a\":\"b\nc\"}",
		"bad escape": `{"a":"\x"}`, "bad number": `{"a":01}`, "trailing comma": `{"a":1,}`, "no comma": `{"a":1 "b":2}`,
		"deep": `{"a":` + deep + `}`, "number as content": `{"choices":[{"delta":{"content":1}}]}`,
		"many choices": `{"choices":[` + strings.Repeat("{},", maxChoices) + `{}]}`, "giant index": `{"choices":[{"index":1000000000}]}`,
		"many calls":  `{"choices":[{"delta":{"tool_calls":[` + strings.Repeat("{},", maxCalls) + `{}]}}]}`,
		"many extras": `{` + strings.Repeat(`"":0,`, maxExtras) + `"":0}`,
	} {
		var c Chunk
		err := ParseChunk([]byte(data), &c)
		if e, ok := err.(*Error); !ok || !errors.Is(err, ErrMalformed) || e.Status != 502 {
			t.Errorf("%s: %v, want ErrMalformed in an *Error", name, err)
		}
	}
}

func TestParseChunkReplacesWhatIsNotUTF8(t *testing.T) {
	var c Chunk
	if err := ParseChunk([]byte("{\"choices\":[{\"delta\":{\"content\":\"a\xff\xfeb\"}}]}"), &c); err != nil {
		t.Fatal(err)
	}
	if got := string(c.Choices[0].Content); got != "\"a\uFFFDb\"" {
		t.Errorf("content %q", got)
	}
}

func TestParseChunkErrors(t *testing.T) {
	for data, want := range map[string]Error{
		`{"error":{"message":"m","type":"","code":429}}`:                            {Status: 429, Message: "m", Type: "requests", Code: "429"},
		`{"error":{"message":"m","type":null,"param":"p","code":"content_filter"}}`: {Status: 400, Message: "m", Type: "invalid_request_error", Param: "p", Code: "content_filter"},
		`{"error":{"message":"m","type":"overloaded_error"}}`:                       {Status: 503, Message: "m", Type: "overloaded_error"},
		`{"error":{"message":"m","code":401}}`:                                      {Status: 401, Message: "m", Type: "server_error", Code: "401"},
		`{"error":"text","error_type":"overloaded"}`:                                {Status: 503, Message: "text", Type: "overloaded"},
		`{"object":"error","message":"m","type":"BadRequestError","code":400}`:      {Status: 400, Message: "m", Type: "BadRequestError", Code: "400"},
		`{"error":{"code":17,"status":400},"choices":[]}`:                           {Status: 400, Message: "The model's server reported an error.", Type: "invalid_request_error", Code: "17"},
		`{"choices":[{"error":{"message":"m","code":502},"delta":{}}]}`:             {Status: 502, Message: "m", Type: "server_error", Code: "502"},
		`{"error":true}`: {Status: 502, Message: "The model's server reported an error.", Type: "server_error"},
		`[{"error":{"code":404,"message":"m","status":"NOT_FOUND"}}]`: {Status: 404, Message: "m", Type: "invalid_request_error", Code: "404"},
		`{"error":{"message":"m","error":1,"error":{}},"a":1,"a":{}}`: {Status: 502, Message: "m", Type: "server_error"},
	} {
		var c Chunk
		err := ParseChunk([]byte(data), &c)
		if e, ok := err.(*Error); !ok || *e != want {
			t.Errorf("%s: %+v, want %+v", data, err, want)
		}
	}
	var c Chunk
	for _, data := range []string{`{"error":null}`, `{"error":""}`, `{"error":{}}`, `{"error":false,"choices":[{"error":null}]}`} {
		if err := ParseChunk([]byte(data), &c); err != nil || bytes.Contains(c.Extra, []byte("error")) {
			t.Errorf("%s: %v, extra %s", data, err, c.Extra)
		}
	}
}

func TestFinishReasons(t *testing.T) {
	for _, test := range []struct {
		want string
		said []string
	}{
		{"stop", []string{"stop", "eos", "end_turn", "stop_sequence", "eos_token", "whatever"}},
		{"length", []string{"length", "max_tokens", "model_length", "insufficient_system_resource"}},
		{"content_filter", []string{"content_filter", "safety", "refusal"}},
		{"tool_calls", []string{"tool_calls", "tool_use"}},
		{"function_call", []string{"function_call"}},
		{"", []string{"", "error", "network_error"}},
	} {
		for _, said := range test.said {
			if got, failed := mapFinish(said, false); got != test.want || failed != (got == "" && said != "") {
				t.Errorf("%q gives %q, failed %v; want %q", said, got, failed, test.want)
			}
		}
	}
	for _, said := range []string{"stop", "eos", "tool_use"} {
		if got, _ := mapFinish(said, true); got != "tool_calls" {
			t.Errorf("%q after a tool call gives %q", said, got)
		}
	}
	if got, _ := mapFinish("length", true); got != "length" {
		t.Errorf("length after a tool call gives %q: the call is cut", got)
	}
}
