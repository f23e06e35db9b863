package anthropic

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

// stream turns the events of one answer into chunks. It does no I/O beyond
// handing them to out and is used by one goroutine.
type stream struct {
	out      provider.Output
	progress func() // called whenever the answer went on, before out hears of it
	model    string // the client's name for the model
	call     *call
	omit     bool // leave out thinking

	walk    *walker
	started bool // message_start was seen
	said    bool // out was given part of an answer
	blocks  []open
	calls   int  // tool calls begun; the next one's index
	byTool  bool // the tool that carries the answer was called

	stop        string // the last stop_reason
	explanation []byte // of a refusal: JSON string
	usage       usage

	chunk   protocol.Chunk
	choice  [1]protocol.Choice
	tool    [1]protocol.ToolCall
	scratch []byte // backs the spans that are not the server's own
}

func newStream(out provider.Output, c *call, model string, omit bool, progress func()) *stream {
	return &stream{out: out, call: c, model: model, omit: omit, progress: progress, walk: newWalker()}
}

// event handles one event. done is true once the answer is complete. The error is
// a *provider.Error, or what out returned.
func (s *stream) event(name string, data []byte) (done bool, err error) {
	if len(data) == 0 || string(data) == "[DONE]" {
		return false, nil // a proxy's habit
	}
	if !utf8.Valid(data) {
		data = bytes.ToValidUTF8(data, []byte("\ufffd"))
	}
	var kind, index, delta, inner, message, usage, failure []byte
	err = s.walk.members(data, func(name, value []byte) {
		switch string(name) {
		case `"type"`:
			kind = value
		case `"index"`:
			index = value
		case `"delta"`:
			delta = value
		case `"content_block"`:
			inner = value
		case `"message"`:
			message = value
		case `"usage"`:
			usage = value
		case `"error"`:
			failure = value
		}
	})
	switch {
	case name == "error" || string(kind) == `"error"` || len(kind) == 0 && len(failure) > 0:
		return false, s.fault(data)
	case err != nil:
		return false, s.rubbish(fmt.Errorf("event %q: %w", name, err))
	}
	switch string(kind) {
	case `"content_block_delta"`:
		return false, s.delta(number(index), delta)
	case `"content_block_start"`:
		return false, s.begin(number(index), inner)
	case `"content_block_stop"`:
		return false, s.end(number(index))
	case `"message_start"`:
		return false, s.start(message)
	case `"message_delta"`:
		return false, s.outcome(delta, usage)
	case `"message_stop"`:
		return true, s.finish()
	}
	return false, nil // pings, and events of a later day
}

// start keeps the counts of message_start. Some servers send it twice.
func (s *stream) start(message []byte) error {
	if s.started {
		return nil
	}
	s.started = true
	u, _ := s.find(message, `"usage"`)
	return s.count(u)
}

// outcome keeps what message_delta says of the end, which comes with message_stop.
func (s *stream) outcome(delta, usage []byte) error {
	var details []byte
	err := s.walk.members(delta, func(name, value []byte) {
		switch string(name) {
		case `"stop_reason"`:
			if isText(value) {
				s.stop = text(value)
			}
		case `"stop_details"`:
			details = value
		}
	})
	if err != nil {
		return s.rubbish(fmt.Errorf("message_delta: %w", err))
	}
	s.explain(details)
	s.progress()
	return s.count(usage)
}

func (s *stream) explain(details []byte) {
	if why, ok := s.find(details, `"explanation"`); ok && isText(why) {
		s.explanation = append(s.explanation[:0], why...)
	}
}

// finish says how the answer ended and what it cost.
func (s *stream) finish() error {
	for len(s.blocks) > 0 {
		if err := s.end(s.blocks[0].index); err != nil {
			return err
		}
	}
	if s.stop == "" {
		return s.rubbish(errors.New("message_stop without a stop reason"))
	}
	if s.stop == "refusal" && s.explanation != nil {
		if err := s.send(protocol.Choice{Refusal: s.explanation}); err != nil {
			return err
		}
	}
	return s.send(protocol.Choice{FinishReason: s.finishReason()})
}

func (s *stream) finishReason() string {
	switch s.stop {
	case "max_tokens", "model_context_window_exceeded":
		return "length"
	case "refusal":
		return "content_filter"
	}
	switch {
	case s.calls == 0:
		return "stop"
	case s.call.functions:
		return "function_call"
	}
	return "tool_calls"
}

// count hands over the counts after each report of the server, so that they are
// known however the answer ends. They are no part of the answer.
func (s *stream) count(report []byte) error {
	if !s.usage.read(s.walk, report) {
		return nil
	}
	s.scratch = s.usage.append(s.scratch[:0])
	s.chunk = protocol.Chunk{Usage: s.scratch}
	return s.out.Chunk(&s.chunk)
}

// send hands over a chunk with one choice.
func (s *stream) send(c protocol.Choice) error {
	s.said = true
	s.progress()
	s.choice[0] = c
	s.chunk = protocol.Chunk{Choices: s.choice[:]}
	return s.out.Chunk(&s.chunk)
}

// fault is the error that the server reported, after its 200. What was said cannot
// be taken back: then the same server is not asked again.
func (s *stream) fault(data []byte) error {
	e := upstream.EventError(upstream.ParseError(data), s.model)
	e.Retry = e.Retry && !s.said
	return openAI(e)
}

// rubbish is the error for an answer that makes no sense.
func (s *stream) rubbish(cause error) error {
	return &provider.Error{
		Public:   protocol.ErrUpstream("The model's server sent an answer that could not be read."),
		Retry:    !s.said,
		Fallback: true,
		Cause:    fmt.Errorf("read answer: %w", cause),
	}
}

// find returns a member of an object, whose name is given with its quotes.
func (s *stream) find(object []byte, name string) (value []byte, ok bool) {
	err := s.walk.members(object, func(n, v []byte) {
		if string(n) == name {
			value = v
		}
	})
	return value, err == nil && value != nil
}

func number(raw []byte) int {
	n, err := strconv.Atoi(string(raw))
	if err != nil {
		return -1
	}
	return n
}
