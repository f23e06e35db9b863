package openai

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

func TestBody(t *testing.T) {
	const messages = `"messages":[{"role":"user","content":"a \"stream_options\" \u00e9"}]`
	for _, c := range []struct {
		name   string
		cfg    Config
		client string
		stream bool
		want   string
	}{
		{"plain, untouched", Config{}, `{"model":"m", ` + messages + `, "x":[1.0, {}] }`, false,
			`{"model":"up", ` + messages + `, "x":[1.0, {}] }`},
		{"plain, odd stream_options stay", Config{}, `{"model":"m",` + messages + `,"stream_options":{"include_usage":true}}`, false,
			`{"model":"up",` + messages + `,"stream_options":{"include_usage":true}}`},
		{"stream", Config{}, `{"model":"m",` + messages + `,"stream":true}`, true,
			`{"model":"up",` + messages + `,"stream":true,"stream_options":{"include_usage":true}}`},
		{"stream options kept", Config{}, `{"model":"m",` + messages + `,"stream":true,"stream_options":{"include_usage":false,"x":1}}`, true,
			`{"model":"up",` + messages + `,"stream":true,"stream_options":{"include_usage":true,"x":1}}`},
		{"stream options null", Config{}, `{"model":"m",` + messages + `,"stream":true,"stream_options":null}`, true,
			`{"model":"up",` + messages + `,"stream":true,"stream_options":{"include_usage":true}}`},
		{"called plain for a stream", Config{}, `{"model":"m",` + messages + `,"stream":true,"stream_options":{"include_usage":true}}`, false,
			`{"model":"up",` + messages + `,"stream":false}`},
		{"called streaming for JSON", Config{}, `{"model":"m",` + messages + `}`, true,
			`{"model":"up",` + messages + `,"stream":true,"stream_options":{"include_usage":true}}`},
		{"no stream_options", Config{NoStreamOptions: true}, `{"model":"m",` + messages + `,"stream":true,"stream_options":{"include_usage":true}}`, true,
			`{"model":"up",` + messages + `,"stream":true}`},
		{"store stays here", Config{}, `{"model":"m","store":true,` + messages + `,"metadata":{"a":"b"},"background":true}`, false,
			`{"model":"up",` + messages + `}`},
		{"store goes on", Config{KeepStore: true}, `{"model":"m","store":true,` + messages + `,"metadata":{"a":"b"}}`, false,
			`{"model":"up","store":true,` + messages + `,"metadata":{"a":"b"}}`},
		{"to max_tokens", Config{TokensField: "max_tokens"}, `{"model":"m","max_completion_tokens":5,` + messages + `}`, false,
			`{"model":"up",` + messages + `,"max_tokens":5}`},
		{"to max_tokens, both", Config{TokensField: "max_tokens"}, `{"model":"m","max_tokens":9,"max_completion_tokens":5,` + messages + `}`, false,
			`{"model":"up","max_tokens":5,` + messages + `}`},
		{"to max_tokens, neither", Config{TokensField: "max_tokens"}, `{"model":"m",` + messages + `}`, false,
			`{"model":"up",` + messages + `}`},
		{"to max_completion_tokens", Config{TokensField: "max_completion_tokens"}, `{"model":"m","max_tokens":9,` + messages + `}`, false,
			`{"model":"up",` + messages + `,"max_completion_tokens":9}`},
		{"developer", Config{NoDeveloper: true}, `{"model":"m","messages":[{"content":"developer","role":"developer"},{"role":"user","content":"developer"}]}`, false,
			`{"model":"up","messages":[{"content":"developer","role":"system"},{"role":"user","content":"developer"}]}`},
	} {
		chat, err := protocol.ParseRequest([]byte(c.client))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got, err := c.cfg.body(&provider.Request{Model: "up", Chat: chat, Stream: c.stream})
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", c.name, err, got, c.want)
		}
		if string(chat.Body) != c.client {
			t.Errorf("%s: the client's body was changed", c.name)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		cfg         Config
		model, want string
	}{
		{Config{}, "m", "https://api.openai.com/v1/chat/completions"},
		{Config{BaseURL: " http://localhost:8000/v1/ "}, "m", "http://localhost:8000/v1/chat/completions"},
		{Config{BaseURL: "http://h/v1/chat/completions"}, "m", "http://h/v1/chat/completions"},
		{Config{BaseURL: "https://h/a?x=1", Query: map[string]string{"api-version": "2"}}, "m", "https://h/a/chat/completions?api-version=2&x=1"},
		{Config{BaseURL: "https://h", Path: "/openai/deployments/{model}/chat/completions"}, "a/b c", "https://h/openai/deployments/a%2Fb%20c/chat/completions"},
	} {
		p, err := New(c.cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.address(p.cfg.Path, c.model); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.cfg, got, c.want)
		}
	}
}

func TestNewReportsEveryFault(t *testing.T) {
	_, err := New(Config{BaseURL: "ftp://user:secret@h", TokensField: "limit", Key: "a\nb"}, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"base url", "tokens field", "key"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: lacks %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%v: repeats a password", err)
	}
}

// Nothing of the client's request but its body goes up, and the key where it is told to.
func TestHeader(t *testing.T) {
	p, err := New(Config{Key: "k-12345678", KeyHeader: "api-key", Header: http.Header{"x-team": {"core"}, "user-agent": {"us"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Accept": {"application/json, text/event-stream"}, "Accept-Encoding": {"identity"}, "Api-Key": {"k-12345678"},
		"Content-Type": {"application/json"}, "User-Agent": {"us"}, "X-Team": {"core"},
	}
	if !reflect.DeepEqual(p.header, want) {
		t.Errorf("got %v", p.header)
	}
}

func TestModels(t *testing.T) {
	for body, want := range map[string][]provider.Model{
		`{"object":"list","data":[{"id":"a","object":"model","created":5,"owned_by":"o"},{"id":"b"},{"id":"a"}]}`: {{ID: "a", Created: 5, OwnedBy: "o"}, {ID: "b"}},
		`[{"id":"a","created":1.5e9,"owned_by":null}]`:                                                            {{ID: "a", Created: 1_500_000_000}},
		`{"models":[{"name":"models/gemini"},{"model":"x","created":"7"}]}`:                                       {{ID: "gemini"}, {ID: "x", Created: 7}},
		`{"data":["a",3,{},{"id":7},{"owned_by":{},"id":"b"}]}`:                                                   {{ID: "a"}, {ID: "b"}},
		`{"data":[]}`:                  {},
		`{"error":{"message":"down"}}`: nil,
		`{}`:                           nil,
		`<html>`:                       nil,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/v1/models" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			_, _ = w.Write([]byte(body))
		}))
		client := upstream.New(upstream.Config{})
		got, err := newProvider(t, srv.URL+"/v1", client, nil).Models(t.Context())
		if (err == nil) != (want != nil) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v", body, got, err)
		}
		client.Close()
		srv.Close()
	}
}

func FuzzModels(f *testing.F) {
	f.Add([]byte(`{"data":[{"id":"a","created":5}]}`))
	f.Add([]byte(`[{"name":"a"},"b"]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		models, err := parseModels(body)
		if err != nil && models != nil {
			t.Error("models and an error")
		}
		for _, m := range models {
			if m.ID == "" || m.Created < 0 {
				t.Errorf("%q: %+v", body, m)
			}
		}
	})
}

// FuzzAnswer reads any bytes as an answer: never a panic, and never a success
// without a finish reason or a whole answer.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(suite().Begin + suite().Text("Hello") + suite().End))
	f.Add([]byte(`{"choices":[{"finish_reason":"stop"}]}`))
	f.Add([]byte("error: {\"message\":\"x\"}\n\n"))
	f.Add([]byte("data: {\"choices\":[{\"index\":3,\"finish_reason\":\"stop\"}]}\r\rdata: {}"))
	chat, err := protocol.ParseRequest([]byte(`{"model":"m","stream":true,"messages":[{"role":"user","content":"Hello"}]}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		client := upstream.New(upstream.Config{Transport: transport(func() io.Reader { return bytes.NewReader(body) })})
		defer client.Close()
		out := finishes{}
		err := newProvider(t, "http://model.test/v1", client, nil).Complete(t.Context(), &provider.Request{Model: "m", Chat: chat, Stream: true}, &out)
		if err == nil && out.finished == 0 && !out.answered {
			t.Errorf("%q: a success that says nothing", body)
		}
	})
}

type finishes struct {
	finished int
	answered bool
}

func (f *finishes) Chunk(c *protocol.Chunk) error {
	for i := range c.Choices {
		if c.Choices[i].FinishReason != "" {
			f.finished++
		}
	}
	return nil
}

func (*finishes) Flush() error { return nil }

func (f *finishes) Answer([]byte) error { f.answered = true; return nil }
