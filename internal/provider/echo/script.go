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
// request say the same.
type script struct {
	pieces    []piece
	finish    string
	tokens    int
	reasoning int // tokens of them
}

// write decides what is said. jobID makes the ids of tool calls unique.
func write(p *prompt, k *knobs, jobID string) *script {
	s := &script{finish: "stop"}
	for _, t := range tokenize(k.reasoning) {
		s.pieces = append(s.pieces, piece{kind: pieceReasoning, text: t})
	}
	switch t := p.toCall(k); {
	case k.refusal != "":
		s.say(pieceRefusal, tokenize(k.refusal))
	case t != nil:
		s.callTool(t, k, jobID, p.text)
	default:
		s.say(pieceContent, p.words(k))
	}
	s.limit(p.maxTokens)
	if k.finish != "" {
		s.finish = k.finish
	}
	return s
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

// words returns the tokens of the text.
func (p *prompt) words(k *knobs) []string {
	text := p.text
	if k.text != nil {
		text = *k.text
	}
	text = p.formatted(text)
	text = strings.Repeat(text, min(max(k.repeat, 1), 1+maxBytes/max(len(text), 1)))
	if k.big > 0 {
		text = fill(k.big) + text
	}
	for _, stop := range p.stop {
		if at := strings.Index(text, stop); at >= 0 && stop != "" {
			text = text[:at]
		}
	}
	tokens := tokenize(text)
	if k.big > 0 && len(text) >= k.big {
		tokens = append([]string{text[:k.big]}, tokenize(text[k.big:])...)
	}
	return stretch(tokens, k.tokens)
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
	quoted, _ := jsontext.AppendQuote(nil, text) // invalid UTF-8 is replaced
	return `{"echo": ` + string(quoted) + `}`
}

// stretch repeats or shortens tokens to n of them, if n is not 0.
func stretch(tokens []string, n int) []string {
	if n == 0 || len(tokens) == 0 {
		return tokens[:min(len(tokens), maxTokens)]
	}
	size := 0
	out := make([]string, 0, n)
	for i := range n {
		t := tokens[i%len(tokens)]
		if size += len(t); size > maxBytes {
			break
		}
		out = append(out, t)
	}
	return out
}

// fill returns n bytes of text.
func fill(n int) string {
	const line = "osiris echoes. "
	return strings.Repeat(line, n/len(line)+1)[:n]
}

func (s *script) say(kind pieceKind, tokens []string) {
	for _, t := range tokens {
		s.pieces = append(s.pieces, piece{kind: kind, text: t})
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
		s.pieces = append(s.pieces, piece{kind: pieceCall, index: i, call: c})
		for _, token := range tokenize(arguments) {
			s.pieces = append(s.pieces, piece{kind: pieceArguments, index: i, text: token, call: c})
		}
	}
}

// limit counts the tokens and ends the script after most of them, if most is not 0.
func (s *script) limit(most int) {
	for i := range s.pieces {
		if s.pieces[i].kind == pieceCall {
			continue
		}
		if most > 0 && s.tokens == most {
			s.pieces, s.finish = s.pieces[:i], "length"
			return
		}
		s.tokens++
		if s.pieces[i].kind == pieceReasoning {
			s.reasoning++
		}
	}
}
