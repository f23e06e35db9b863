package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/osiris/osiris/pkg/protocol"
)

// streamed is what a stream said, read to the letter of the wire profile.
type streamed struct {
	id         string
	text       strings.Builder // of choice 0
	finish     string
	broken     *refusal // the error event
	done       bool
	keepAlives int
	usage      *protocol.Usage
}

// chunk is the part of a chunk that the tests look at.
type chunk struct {
	ID      string `json:"id"`
	Choices []struct {
		Index int `json:"index"`
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *protocol.Usage `json:"usage"`
}

// readStream reads to the end. An error is a breach of the profile, or a stream that
// was cut.
func readStream(r io.Reader) (*streamed, error) {
	s := &streamed{}
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return s, nil
		}
		if err != nil {
			return s, fmt.Errorf("cut after %q: %w", short(s.text.String()), err)
		}
		if err := s.take(line, lines); err != nil {
			return s, err
		}
	}
}

// take reads one line, and the blank one that must follow data.
func (s *streamed) take(line string, lines *bufio.Reader) error {
	if s.done {
		return fmt.Errorf("%q after [DONE]", short(line))
	}
	if line == ": keep-alive\n" {
		s.keepAlives++
		return nil
	}
	data, ok := strings.CutPrefix(line, "data: ")
	if !ok {
		return fmt.Errorf("line %q", short(line))
	}
	if blank, err := lines.ReadString('\n'); err != nil || blank != "\n" {
		return fmt.Errorf("%q after data, %w", short(blank), err)
	}
	data = strings.TrimSuffix(data, "\n")
	if data == "[DONE]" {
		s.done = true
		return nil
	}
	if s.broken != nil {
		return fmt.Errorf("%q after the error event", short(data))
	}
	if strings.HasPrefix(data, `{"error":`) {
		var err error
		s.broken, err = readRefusal(data)
		return err
	}
	return s.takeChunk(data)
}

func (s *streamed) takeChunk(data string) error {
	var c chunk
	if err := json.Unmarshal([]byte(data), &c); err != nil {
		return fmt.Errorf("chunk %q: %w", short(data), err)
	}
	if s.id == "" {
		s.id = c.ID
	}
	if c.ID != s.id || !strings.HasPrefix(c.ID, "chatcmpl-") {
		return fmt.Errorf("id %q after %q", c.ID, s.id)
	}
	if c.Usage != nil {
		s.usage = c.Usage
	}
	for _, choice := range c.Choices {
		if s.finish != "" {
			return fmt.Errorf("%q after the finish reason", short(data))
		}
		s.text.WriteString(choice.Delta.Content)
		if choice.FinishReason != nil {
			s.finish = *choice.FinishReason
		}
	}
	return nil
}

// check holds that the stream is whole and says text, or errBroken: it ends with an
// error event, without a finish reason, and is right as far as it goes.
func (s *streamed) check(text string) error {
	said := s.text.String()
	switch {
	case !s.done:
		return fmt.Errorf("no [DONE] after %q", short(said))
	case s.broken != nil && s.finish != "":
		return fmt.Errorf("finished with %q and an error: %s", s.finish, s.broken.Message)
	case s.broken != nil && !strings.HasPrefix(text, said):
		return fmt.Errorf("broke after %q, which is no part of %q", short(said), short(text))
	case s.broken != nil:
		return errBroken
	case s.finish == "":
		return fmt.Errorf("neither finished nor broken after %q", short(said))
	case said != text:
		return fmt.Errorf("said %q, want %q", short(said), short(text))
	}
	return nil
}
