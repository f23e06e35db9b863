package anthropic

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/tools/txtar"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

// transcript writes down every chunk it is given, one line each.
type transcript struct {
	bytes.Buffer
	fail error // returned for the next chunk
}

func (r *transcript) Answer([]byte) error { return errors.New("a whole answer was not expected") }

func (r *transcript) Chunk(c *protocol.Chunk) error {
	for _, choice := range c.Choices {
		r.raw("content", choice.Content)
		r.raw("refusal", choice.Refusal)
		for _, t := range choice.ToolCalls {
			fmt.Fprintf(r, "call %d", t.Index)
			for _, span := range [][]byte{t.ID, t.Name, t.Arguments} {
				fmt.Fprintf(r, " %s", check(span))
			}
			r.WriteByte('\n')
		}
		r.raw("function name", choice.FunctionName)
		r.raw("function arguments", choice.FunctionArguments)
		if choice.DeltaExtra != nil {
			r.raw("extra", []byte("{"+string(choice.DeltaExtra)+"}"))
		}
		if choice.FinishReason != "" {
			fmt.Fprintln(r, "finish", choice.FinishReason)
		}
	}
	r.raw("usage", c.Usage)
	return r.fail
}

func (r *transcript) raw(label string, span []byte) {
	if span != nil {
		fmt.Fprintln(r, label, check(span))
	}
}

// check marks a span that is not JSON, or nothing.
func check(span []byte) string {
	switch {
	case span == nil:
		return "-"
	case !jsontext.Value(span).IsValid():
		return "INVALID " + string(span)
	}
	return string(span)
}

func (r *transcript) ended(err error) {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		fmt.Fprintf(r, "error %d %s %s: %s (retry %v, fallback %v)\n", e.Public.Status, e.Public.Type, e.Public.Code, e.Public.Message, e.Retry, e.Fallback)
		if e.Operator != "" {
			fmt.Fprintln(r, "operator:", e.Operator)
		}
	} else if err != nil {
		fmt.Fprintln(r, "error", err)
	}
}

// TestStream compares what the streams of testdata become with golden files.
func TestStream(t *testing.T) {
	names, err := filepath.Glob("testdata/streams/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := playStream(t, section(archive, "request"), section(archive, "streaming"))
			if *update {
				writeGolden(t, name, archive, "chunks", got)
				return
			}
			if want := section(archive, "chunks"); !bytes.Equal(got, want) {
				t.Errorf("chunks:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// playStream maps a stream without a network, event by event.
func playStream(t *testing.T, request, body []byte) []byte {
	t.Helper()
	c, err := mapRequest(requestOf(t, request))
	if err != nil {
		t.Fatal(err)
	}
	out := new(transcript)
	s := newStream(out, c, "m", false, func() {})
	out.ended(play(s, body))
	return out.Bytes()
}

func play(s *stream, body []byte) error {
	if bytes.HasPrefix(body, []byte("{")) {
		if err := s.whole(body); err != nil {
			return s.brokeOff(err)
		}
		return nil
	}
	for block := range strings.SplitSeq(strings.TrimSuffix(string(body), "\n\n"), "\n\n") {
		name, data := "", block
		if rest, ok := strings.CutPrefix(block, "event: "); ok {
			name, data, _ = strings.Cut(rest, "\n")
		}
		done, err := s.event(name, []byte(strings.TrimPrefix(data, "data: ")))
		switch {
		case err != nil:
			return s.brokeOff(err)
		case done:
			return nil
		}
	}
	return s.brokeOff(errors.New("ended early"))
}
