package anthropic

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/osiris/osiris/pkg/protocol"
)

// open is a content block of the answer that has not ended.
type open struct {
	index   int // the server's
	carries carried
	call    int    // of a tool call: its index in the client's answer
	wrote   bool   // part of the input came
	input   []byte // the input that came with the block's start, JSON
}

// carried is what a block's input becomes.
type carried int

const (
	nothing carried = iota
	arguments
	answer // the input of the tool that stands for a JSON answer
)

// begin handles content_block_start. Servers that answer at once put a block's
// whole content here.
func (s *stream) begin(index int, object []byte) error {
	var kind, id, name, input, said, thought []byte
	err := s.walk.members(object, func(n, value []byte) {
		switch string(n) {
		case `"type"`:
			kind = value
		case `"id"`:
			id = value
		case `"name"`:
			name = value
		case `"input"`:
			input = value
		case `"text"`:
			said = value
		case `"thinking"`:
			thought = value
		}
	})
	if err != nil {
		return s.rubbish(fmt.Errorf("content_block_start: %w", err))
	}
	switch string(kind) {
	case `"text"`:
		return s.text(said)
	case `"thinking"`:
		return s.thought(thought)
	case `"tool_use"`:
		return s.beginTool(index, id, name, input)
	}
	s.blocks = append(s.blocks, open{index: index}) // such as a tool that the server runs itself
	return nil
}

// beginTool opens a call under a new index: the block's own has gaps.
func (s *stream) beginTool(index int, id, name, input []byte) error {
	b := open{index: index, call: s.calls}
	if len(input) > 2 && input[0] == '{' {
		b.input = bytes.Clone(input)
	}
	switch {
	case s.call.jsonTool != "" && text(name) == s.call.jsonTool:
		if !s.byTool { // one answer is enough
			b.carries = answer
		}
		s.byTool = true
		s.blocks = append(s.blocks, b)
		return nil
	case s.call.functions && s.calls > 0: // the deprecated form has room for one
		s.blocks = append(s.blocks, b)
		return nil
	}
	b.carries = arguments
	s.blocks = append(s.blocks, b)
	s.calls++
	if s.call.functions {
		return s.send(protocol.Choice{FunctionName: name, FunctionArguments: []byte(`""`)})
	}
	if !isText(id) {
		s.scratch = append(strconv.AppendInt(append(s.scratch[:0], `"call_`...), int64(b.call), 10), '"')
		id = s.scratch
	}
	s.tool[0] = protocol.ToolCall{Index: b.call, ID: id, Name: name, Arguments: []byte(`""`)}
	return s.send(protocol.Choice{ToolCalls: s.tool[:]})
}

// delta handles content_block_delta.
func (s *stream) delta(index int, object []byte) error {
	var kind, said, thought, partial []byte
	err := s.walk.members(object, func(name, value []byte) {
		switch string(name) {
		case `"type"`:
			kind = value
		case `"text"`:
			said = value
		case `"thinking"`:
			thought = value
		case `"partial_json"`:
			partial = value
		}
	})
	if err != nil {
		return s.rubbish(fmt.Errorf("content_block_delta: %w", err))
	}
	switch string(kind) {
	case `"text_delta"`:
		return s.text(said)
	case `"thinking_delta"`:
		return s.thought(thought)
	case `"input_json_delta"`:
		if i := s.block(index); i >= 0 && isText(partial) {
			s.blocks[i].wrote = true
			return s.input(&s.blocks[i], partial)
		}
		return nil
	}
	s.progress() // a signature, a citation: the model is at work
	return nil
}

// end handles content_block_stop. A tool without arguments streamed no input.
func (s *stream) end(index int) error {
	i := s.block(index)
	if i < 0 {
		return nil
	}
	b := s.blocks[i]
	s.blocks = slices.Delete(s.blocks, i, i+1)
	switch {
	case b.wrote:
		return nil
	case b.input != nil:
		return s.input(&b, quote(string(b.input)))
	}
	return s.input(&b, []byte(`"{}"`))
}

// block returns where the open block of that index is, or -1.
func (s *stream) block(index int) int {
	return slices.IndexFunc(s.blocks, func(b open) bool { return b.index == index })
}

// input hands over a piece of a tool's input: a JSON string.
func (s *stream) input(b *open, piece []byte) error {
	switch {
	case b.carries == answer:
		return s.send(protocol.Choice{Content: piece})
	case b.carries == nothing:
		return nil
	case s.call.functions:
		return s.send(protocol.Choice{FunctionArguments: piece})
	}
	s.tool[0] = protocol.ToolCall{Index: b.call, Arguments: piece}
	return s.send(protocol.Choice{ToolCalls: s.tool[:]})
}

// text hands over a piece of the answer's text: a JSON string.
func (s *stream) text(piece []byte) error {
	if !isText(piece) {
		return nil
	}
	return s.send(protocol.Choice{Content: piece})
}

// thought hands over a piece of the model's thinking.
func (s *stream) thought(piece []byte) error {
	if !isText(piece) {
		return nil
	}
	if s.omit {
		s.progress()
		return nil
	}
	s.scratch = append(append(s.scratch[:0], `"reasoning_content":`...), piece...)
	return s.send(protocol.Choice{DeltaExtra: s.scratch})
}
