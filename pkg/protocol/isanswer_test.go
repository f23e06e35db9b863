package protocol

import (
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func TestIsAnswer(t *testing.T) {
	for body, want := range map[string]bool{
		`{"choices":[{}]}`: true,
		"\n{\"id\":\"x\",\"choices\":[{\"a\":1},{}],\"error\":null}\n": true,
		`{"choices":[]}`:               false,
		`{"choices":null}`:             false,
		`{"choices":{}}`:               false,
		`{"choices":[{}],"error":{}}`:  false,
		`{"choices":[{}],"error":"x"}`: false,
		`{"choices":["x"]}`:            false,
		`{"choices":[{}]`:              false,
		`{"choices":[{}]}x`:            false,
		`{"choices":[{}],}`:            false,
		`{"choices":[{"a":01}]}`:       false,
		`[{"choices":[{}]}]`:           false,
		`{}`:                           false,
		``:                             false,
		`null`:                         false,
	} {
		if got := IsAnswer([]byte(body)); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
}

// FuzzIsAnswer: what it says yes to, a JSON library takes as an answer as well.
func FuzzIsAnswer(f *testing.F) {
	for _, seed := range []string{`{"choices":[{"message":{"content":"Hi \\u00fc"}}],"usage":{}}`, `{"choices":[{}],"choices":[],"error":null}`, "{\"a\":\"\xff\",\"choices\":[{}]}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !IsAnswer(body) {
			return
		}
		var v struct {
			Choices []map[string]jsontext.Value `json:"choices"`
			Error   jsontext.Value              `json:"error"`
		}
		err := json.Unmarshal(body, &v, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		if err != nil || v.Error != nil && v.Error.Kind() != 'n' {
			t.Errorf("%q is no answer: %v", body, err)
		}
	})
}

func BenchmarkIsAnswer(b *testing.B) {
	body := []byte(`{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",` +
		`"content":"Hello, this is an answer of some length."},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`)
	b.ReportAllocs()
	for b.Loop() {
		if !IsAnswer(body) {
			b.Fatal("no answer")
		}
	}
}
