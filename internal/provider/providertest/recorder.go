package providertest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

// Recorder is an Output that writes down what it is given, one line for each event.
// It is used by one call.
type Recorder struct {
	Events   []string
	Finished map[int]string // finish reasons by choice
	Answered bool           // Answer was called
	OnEvent  func() error   // called after each event, its error returned; may be nil
	OnFlush  func() error   // called by Flush, its error returned; may be nil
}

var _ provider.Output = (*Recorder)(nil)

// Chunk implements provider.Output.
func (r *Recorder) Chunk(c *protocol.Chunk) error {
	r.Events = append(r.Events, FormatChunk(c))
	for i := range c.Choices {
		if reason := c.Choices[i].FinishReason; reason != "" {
			if r.Finished == nil {
				r.Finished = make(map[int]string)
			}
			r.Finished[c.Choices[i].Index] = reason
		}
	}
	return r.after()
}

// Flush implements provider.Output.
func (r *Recorder) Flush() error {
	if r.OnFlush == nil {
		return nil
	}
	return r.OnFlush()
}

// Answer implements provider.Output.
func (r *Recorder) Answer(body []byte) error {
	r.Events = append(r.Events, "answer "+string(body))
	r.Answered = true
	return r.after()
}

func (r *Recorder) after() error {
	if r.OnEvent == nil {
		return nil
	}
	return r.OnEvent()
}

// String is all events, a line each.
func (r *Recorder) String() string { return strings.Join(r.Events, "\n") + "\n" }

// FormatChunk writes a chunk as one line: everything that is there, in a fixed order.
func FormatChunk(c *protocol.Chunk) string {
	b := []byte("chunk")
	for i := range c.Choices {
		b = append(b, ' ')
		b = appendChoice(b, &c.Choices[i])
	}
	b = appendSpan(b, "usage", c.Usage)
	return string(appendSpan(b, "extra", c.Extra))
}

func appendChoice(b []byte, c *protocol.Choice) []byte {
	b = fmt.Appendf(b, "[%d", c.Index)
	b = appendSpan(b, "content", c.Content)
	b = appendSpan(b, "refusal", c.Refusal)
	for i := range c.ToolCalls {
		t := &c.ToolCalls[i]
		kind := "tool"
		if t.Custom {
			kind = "custom"
		}
		b = fmt.Appendf(b, " %s(%d", kind, t.Index)
		b = appendSpan(b, "id", t.ID)
		b = appendSpan(b, "name", t.Name)
		b = appendSpan(b, "arguments", t.Arguments)
		b = appendSpan(b, "extra", t.Extra)
		b = append(b, ')')
	}
	b = appendSpan(b, "function", c.FunctionName)
	b = appendSpan(b, "arguments", c.FunctionArguments)
	b = appendSpan(b, "delta", c.DeltaExtra)
	b = appendSpan(b, "logprobs", c.Logprobs)
	b = appendSpan(b, "extra", c.Extra)
	if c.FinishReason != "" {
		b = append(b, " finish="+c.FinishReason...)
	}
	return append(b, ']')
}

func appendSpan(b []byte, name string, span []byte) []byte {
	if span == nil {
		return b
	}
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, '=')
	return append(b, span...)
}

// FormatOutcome writes what Complete returned as one line.
func FormatOutcome(err error) string {
	if err == nil {
		return "end"
	}
	e, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return "error " + err.Error()
	}
	p := e.Public
	line := fmt.Sprintf("error %d type=%s param=%s code=%s", p.Status, p.Type, p.Param, p.Code)
	if e.Retry {
		line += " retry"
	}
	if e.Fallback {
		line += " fallback"
	}
	if e.RetryAfter > 0 {
		line += " after=" + e.RetryAfter.String()
	}
	if e.Operator != "" {
		line += " operator"
	}
	return fmt.Sprintf("%s %q", line, p.Message)
}
