package openai

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/osiris/osiris/pkg/protocol"
)

// maxChoices bounds the choice indexes believed: the API allows 128.
const maxChoices = 1024

// progress knows which choices of a stream were opened and which are finished.
type progress struct {
	open     []bool // by index; true: opened and not finished
	opened   int
	finished int
	seen     []bool
}

// note takes in a chunk.
func (p *progress) note(c *protocol.Chunk) error {
	for i := range c.Choices {
		ch := &c.Choices[i]
		if ch.Index < 0 || ch.Index >= maxChoices {
			return fmt.Errorf("choice index %d", ch.Index)
		}
		for ch.Index >= len(p.seen) {
			p.seen, p.open = append(p.seen, false), append(p.open, false)
		}
		if !p.seen[ch.Index] {
			p.seen[ch.Index], p.open[ch.Index] = true, true
			p.opened++
		}
		if ch.FinishReason == "error" {
			return errors.New("a choice finished with an error")
		}
		if ch.FinishReason != "" && p.open[ch.Index] {
			p.open[ch.Index] = false
			p.finished++
		}
	}
	return nil
}

// complete reports whether all opened choices are finished, and at least n.
func (p *progress) complete(n int) bool {
	return p.finished == p.opened && p.finished >= n
}

// substantial reports whether a chunk brings the answer forward. A role alone, or
// an empty delta, is a server showing that it lives, as a comment does.
func substantial(c *protocol.Chunk) bool {
	if c.Usage != nil {
		return true
	}
	for i := range c.Choices {
		ch := &c.Choices[i]
		if ch.FinishReason != "" || says(ch.Content) || says(ch.Refusal) || len(ch.ToolCalls) > 0 ||
			ch.FunctionName != nil || ch.FunctionArguments != nil || len(ch.DeltaExtra) > 0 || ch.Logprobs != nil {
			return true
		}
	}
	return false
}

// says reports whether a JSON string or null has text in it.
func says(value []byte) bool {
	return len(value) > 2 && !bytes.Equal(value, []byte("null"))
}
