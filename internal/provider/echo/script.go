package echo

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// pieceKind is the member of a delta that a piece belongs to.
type pieceKind uint8

const (
	pieceReasoning pieceKind = iota
	pieceContent
	pieceRefusal
	pieceCall      // opens a tool call: text is empty
	pieceArguments // of the tool call at index
)

// piece is what one chunk says. All but pieceCall are one token.
type piece struct {
	kind  pieceKind
	index int // of the tool call
	text  string
	call  *call // nil for other kinds
}

// call is a tool call.
type call struct {
	id   string
	tool *tool
}

// script is what one choice says, from its beginning to its end. All choices of a
// request say the same. It holds texts, not pieces: those are a million at most.
type script struct {
	segments  []segment
	finish    string
	tokens    int
	reasoning int // tokens of them
}

// write decides what is said. jobID makes the ids of tool calls unique.
func write(p *prompt, k *knobs, jobID string) *script {
	s := &script{finish: "stop"}
	s.say(segment{kind: pieceReasoning, text: k.reasoning})
	switch t := p.toCall(k); {
	case k.refusal != "":
		s.say(segment{kind: pieceRefusal, text: k.refusal})
	case t != nil:
		s.callTool(t, k, jobID, p.text)
	default:
		s.say(p.words(k))
	}
	s.limit(p.maxTokens, p.room())
	if k.finish != "" {
		s.finish = k.finish
	}
	return s
}

// room is how many bytes one choice may say, so that a whole answer is bounded.
// Logprobs show each byte as a number, once for each alternative.
func (p *prompt) room() int {
	shown := 1
	if p.logprobs {
		shown = 8 * (1 + p.topLogprobs)
	}
	return maxBytes / (p.choices * shown)
}

// toCall returns the tool to be called, or nil.
func (p *prompt) toCall(k *knobs) *tool {
	if k.tool == "" || p.afterTool {
		return p.call
	}
	if t := find(p.tools, k.tool); t != nil {
		return t
	}
	return &tool{name: k.tool}
}

// words is what the text says.
func (p *prompt) words(k *knobs) segment {
	text := p.text
	if k.text != nil {
		text = *k.text
	}
	text = p.formatted(text)
	if k.repeat > 1 {
		text = strings.Repeat(text, max(1, min(k.repeat, maxBytes/max(len(text), 1))))
	}
	if k.big > 0 {
		text = fill(k.big) + text
	}
	for _, stop := range p.stop {
		if at := strings.Index(text, stop); at >= 0 && stop != "" {
			text = text[:at]
		}
	}
	words := segment{kind: pieceContent, text: text, want: k.tokens}
	if len(text) >= k.big {
		words.head = k.big
	}
	return words
}

// formatted keeps the request's response_format.
func (p *prompt) formatted(text string) string {
	if p.format != "json_object" && p.format != "json_schema" {
		return text
	}
	if v := jsontext.Value(strings.TrimSpace(text)); v.Kind() == '{' && v.IsValid() {
		return text
	}
	if p.schema != nil {
		return instance(p.schema, text)
	}
	object := append(make([]byte, 0, len(text)+len(text)/8+16), `{"echo": `...)
	object, _ = jsontext.AppendQuote(object, text) // invalid UTF-8 is replaced
	return string(append(object, '}'))
}

// fill returns n bytes of text.
func fill(n int) string {
	const line = "osiris echoes. "
	return strings.Repeat(line, n/len(line)+1)[:n]
}

// say adds a segment that has something to say.
func (s *script) say(one segment) {
	if one.text != "" {
		s.segments = append(s.segments, one)
	}
}

func (s *script) callTool(t *tool, k *knobs, jobID, text string) {
	s.finish = "tool_calls"
	calls := max(k.calls, 1)
	if t.legacy {
		s.finish, calls = "function_call", 1
	}
	arguments := k.args
	switch {
	case arguments != "":
	case t.custom:
		arguments = text
	default:
		arguments = instance(t.schema, text)
	}
	for i := range calls {
		c := &call{id: fmt.Sprintf("call_%s%d", jobID, i), tool: t}
		s.segments = append(s.segments, segment{kind: pieceCall, index: i, call: c})
		s.say(segment{kind: pieceArguments, index: i, call: c, text: arguments})
	}
}

// limit measures the script and ends it after most tokens, if most is not 0, and at
// the bounds of the model.
func (s *script) limit(most, room int) {
	bound := maxTokens
	if most > 0 {
		bound = min(most, bound)
	}
	for i := range s.segments {
		one := &s.segments[i]
		more := one.measure(bound-s.tokens, room)
		s.tokens += one.count
		room -= one.said
		if one.kind == pieceReasoning {
			s.reasoning += one.count
		}
		if !more {
			continue
		}
		s.segments = s.segments[:i+min(one.count, 1)]
		if s.tokens == most {
			s.finish = "length"
		}
		return
	}
}
