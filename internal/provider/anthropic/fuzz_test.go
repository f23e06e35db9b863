package anthropic

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/tools/txtar"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

func seed(f *testing.F, pattern, name string, add func(data []byte)) {
	f.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		add(section(txtar.Parse(data), name))
	}
}

// FuzzMapRequest: every validated request becomes valid JSON whose turns the API
// accepts in form, or a 400 that names a remedy.
func FuzzMapRequest(f *testing.F) {
	models := []string{"claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-opus-4-7", "claude-sonnet-9", "glm-5"}
	seed(f, "testdata/requests/*.txtar", "request", func(data []byte) {
		for i := range models {
			f.Add(data, uint(i))
		}
	})
	f.Fuzz(func(t *testing.T, data []byte, model uint) {
		chat, err := protocol.ParseRequest(data)
		if err != nil {
			return
		}
		c, err := mapRequest(&provider.Request{Model: models[model%uint(len(models))], Chat: chat})
		if err != nil {
			if e, ok := errors.AsType[*provider.Error](err); !ok || e.Public.Status != 400 {
				t.Fatalf("error %v", err)
			}
			return
		}
		checkBody(t, c)
	})
}

// checkBody checks what the API demands of every request.
func checkBody(t *testing.T, c *call) {
	t.Helper()
	w := newWalker()
	find := func(object []byte, name string) (value []byte) {
		if err := w.members(object, func(n, v []byte) {
			if text(n) == name {
				value = v
			}
		}); err != nil {
			t.Fatalf("%v in %s", err, c.body)
		}
		return value
	}
	var turns [][]byte
	if err := w.elements(find(c.body, "messages"), func(v []byte) { turns = append(turns, v) }); err != nil || len(turns) == 0 {
		t.Fatalf("messages: %v in %s", err, c.body)
	}
	last := "assistant"
	for _, turn := range turns {
		role := text(find(turn, "role"))
		if role == last {
			t.Fatalf("two turns of %s, or the first not the user's: %s", role, c.body)
		}
		last = role
		blocks := 0
		if err := w.elements(find(turn, "content"), func([]byte) { blocks++ }); err != nil || blocks == 0 {
			t.Fatalf("an empty turn (%v): %s", err, c.body)
		}
	}
	if n := number(find(c.body, "max_tokens")); n < 1 {
		t.Fatalf("max_tokens is %d: %s", n, c.body)
	}
}

// FuzzStream: no answer makes the mapping panic, or say what is not JSON.
func FuzzStream(f *testing.F) {
	seed(f, "testdata/streams/*.txtar", "streaming", func(data []byte) {
		_, body, _ := bytes.Cut(data, []byte("\n\n"))
		f.Add(body, uint8(0))
		f.Add(body, uint8(1))
	})
	f.Fuzz(func(t *testing.T, data []byte, way uint8) {
		c := new(call)
		if way%3 == 1 {
			c.jsonTool = "get_weather"
		}
		c.functions = way%3 == 2
		s := newStream(spanCheck{t}, c, "m", way%2 == 1, func() {})
		_ = play(s, data)
	})
}

// play maps an answer without a network.
func play(s *stream, body []byte) error {
	if bytes.HasPrefix(body, []byte("{")) {
		return s.whole(body)
	}
	d := protocol.NewDecoder(bytes.NewReader(body), maxEvent)
	for {
		e, err := d.Next()
		if err != nil {
			return err
		}
		if done, err := s.event(e.Name, e.Data); done || err != nil {
			return err
		}
	}
}

// spanCheck fails a test on a span that is not a JSON value.
type spanCheck struct{ t *testing.T }

func (spanCheck) Flush() error { return nil }

func (o spanCheck) Answer([]byte) error { return nil }

func (o spanCheck) Chunk(c *protocol.Chunk) error {
	opts := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	spans := [][]byte{c.Usage}
	for _, choice := range c.Choices {
		spans = append(spans, choice.Content, choice.Refusal, choice.FunctionName, choice.FunctionArguments)
		if choice.DeltaExtra != nil {
			spans = append(spans, []byte("{"+string(choice.DeltaExtra)+"}"))
		}
		for _, call := range choice.ToolCalls {
			spans = append(spans, call.ID, call.Name, call.Arguments)
		}
	}
	for _, span := range spans {
		if span != nil && !jsontext.Value(span).IsValid(opts...) {
			o.t.Errorf("not JSON: %q", span)
		}
	}
	return nil
}
