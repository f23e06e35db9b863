package protocol

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestStreams plays what a server sends, in testdata/streams, through decoder,
// parser, writer and fold. The section "upstream" is the server's stream, where
// CR stands for a carriage return; "events" is what a client gets and "completion" what it folds
// to, or "error" how the stream ends. A comment with the word usage asks for it.
func TestStreams(t *testing.T) {
	files, err := filepath.Glob("testdata/streams/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	chunkSchema := compileSchema(t, "CreateChatCompletionStreamResponse")
	answerSchema := compileSchema(t, "CreateChatCompletionResponse")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			includeUsage := bytes.Contains(ar.Comment, []byte("usage"))
			got := playStream(t, ar.Files[0].Data, includeUsage)
			checkProfile(t, got.events, includeUsage, got.err == nil)
			custom := bytes.Contains(got.events, []byte(`"custom"`)) // which the published schema has in requests only
			for event := range bytes.SplitSeq(bytes.TrimSpace(got.events), []byte("\n\n")) {
				if data := bytes.TrimPrefix(event, []byte("data: ")); len(data) > 0 && !custom {
					if err := chunkSchema(data); err != nil {
						t.Errorf("%v: %s", err, data)
					}
				}
			}
			if got.err == nil {
				if err := answerSchema(got.completion); err != nil {
					t.Errorf("%v: %s", err, got.completion)
				}
			}
			checkGolden(t, file, ar, got.files())
		})
	}
}

// played is what became of a stream.
type played struct {
	events, completion []byte
	err                error
}

func (p played) files() []txtar.File {
	files := []txtar.File{{Name: "events", Data: p.events}}
	if p.err != nil {
		data := append(AsError(p.err).AppendJSON(nil), '\n')
		return append(files, txtar.File{Name: "error", Data: data})
	}
	return append(files, txtar.File{Name: "completion", Data: append(bytes.Clone(p.completion), '\n')})
}

var goldenEnvelope = Envelope{ID: "chatcmpl-1", Created: 7, Model: "m"}

func playStream(t *testing.T, upstream []byte, includeUsage bool) (p played) {
	t.Helper()
	d := NewDecoder(bytes.NewReader(upstream), 32<<20)
	w := NewStreamWriter(goldenEnvelope, includeUsage)
	var c Chunk
	for {
		ev, err := d.Next()
		if errors.Is(err, io.EOF) || string(ev.Data) == "[DONE]" {
			break
		}
		if err == nil && ev.Error {
			err = parseError(ev.Data)
		} else if err == nil {
			err = ParseChunk(ev.Data, &c)
		}
		if err != nil {
			p.err = err
			return p
		}
		p.events = w.Append(p.events, &c)
	}
	if p.events, p.err = w.AppendEnd(p.events); p.err != nil {
		return p
	}
	acc := NewAccumulator(goldenEnvelope)
	if err := acc.Add(p.events); err != nil {
		t.Fatal(err)
	}
	completion, err := acc.Completion(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.completion = completion
	return p
}

// checkGolden compares what came with all but the first file of ar.
func checkGolden(t *testing.T, file string, ar *txtar.Archive, got []txtar.File) {
	t.Helper()
	if *update {
		ar.Files = append(ar.Files[:1], got...)
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := ar.Files[1:]
	if len(want) != len(got) {
		t.Fatalf("%d sections, want %d: %v", len(got), len(want), got)
	}
	for i := range got {
		if got[i].Name != want[i].Name || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Errorf("%s\ngot:\n%s\nwant %s:\n%s", got[i].Name, got[i].Data, want[i].Name, want[i].Data)
		}
	}
}

// TestAnswers normalises what a server sends, in testdata/answers.
func TestAnswers(t *testing.T) {
	files, err := filepath.Glob("testdata/answers/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	answerSchema := compileSchema(t, "CreateChatCompletionResponse")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			body := ar.Files[0].Data
			answer, err := NormalizeAnswer(nil, body, goldenEnvelope)
			if err != nil {
				checkGolden(t, file, ar, []txtar.File{{Name: "error", Data: append(AsError(err).AppendJSON(nil), '\n')}})
				return
			}
			if err := answerSchema(answer.Body); err != nil {
				t.Errorf("%v: %s", err, answer.Body)
			}
			again, err := NormalizeAnswer(nil, answer.Body, goldenEnvelope)
			if err != nil || !bytes.Equal(again.Body, answer.Body) {
				t.Errorf("normalising again changes it: %s, %v", again.Body, err)
			}
			checkAnswerFolds(t, body)
			checkGolden(t, file, ar, []txtar.File{{Name: "answer", Data: append(bytes.Clone(answer.Body), '\n')}})
		})
	}
}
