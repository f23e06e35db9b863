package protocol

import (
	"bytes"
	"fmt"
)

// maxChoices bounds a choice's index: OpenAI allows n up to 128.
const maxChoices = 128

// maxCalls bounds the tool calls of a choice.
const maxCalls = 1024

// keptScratch is what a Chunk keeps of its scratch space from use to use.
const keptScratch = 64 << 10

// ParseChunk reads one chunk of a stream into c, whose slices it reuses; c's
// spans point into data or into c and are valid until either changes. For one stream
// it is one c, which nobody else writes into: a chunk that only its text tells from
// the one before is not parsed again. It checks that data is one valid JSON object
// and takes what odd servers make of a chunk: missing members, content in parts
// (thinking parts become reasoning_content), arguments as an object, usage inside
// x_groq. Bytes that are not UTF-8 become U+FFFD; control characters in strings are
// refused.
//
// The error is always an *Error: the server's own, as parseError has it, where
// the chunk reports one (even among choices), else one with ErrMalformed in its
// chain.
func ParseChunk(data []byte, c *Chunk) error {
	if text, ok := c.like.text(data); ok {
		c.Choices[0].Content = text
		return nil
	}
	p := chunkParser{c: c, key: "delta"}
	if err := p.parse(c.like.copy(data)); err != nil {
		return err
	}
	c.like.learn(c, p.textAt)
	return nil
}

// chunkParser reads a chunk or, with another name for the member that holds what
// was said, a whole completion.
type chunkParser struct {
	spanScanner
	c      *Chunk
	key    string // "delta" or "message"
	broken bool   // an error was reported
	textAt int    // where the last content that is a string or null begins

	hasChoices bool // a choices array was there
	said       int  // choices that have the member as an object
	groqUsage  []byte
}

func (p *chunkParser) parse(data []byte) error {
	data = cleanJSON(data)
	p.data = data
	p.c.reset()
	if p.peek() == '[' {
		if e := parseError(data); e != nil {
			return e
		}
	}
	p.document()
	if !p.end() {
		return ErrUpstream("The model's server sent a broken answer.").
			Wrap(fmt.Errorf("parse %s: %w", p.key, ErrMalformed))
	}
	if p.broken {
		if e := parseError(data); e != nil {
			return e
		}
		return ErrUpstream("The model's server reported an error.")
	}
	if p.c.Usage == nil {
		p.c.Usage = p.groqUsage
	}
	return nil
}

func (p *chunkParser) document() {
	extras := len(p.c.members)
	for name := range p.members {
		switch string(name) {
		case "id", "created", "model":
			p.value()
		case "object":
			p.broken = string(p.value()) == `"error"` || p.broken
		case "error":
			p.broken = reportsError(p.value()) || p.broken
		case "choices":
			p.choices()
		case "usage":
			p.c.Usage = ofKind(p.value(), '{')
		case "service_tier":
			p.c.ServiceTier = ofKind(p.value(), '"')
		case "system_fingerprint": // a string or left out: null fails the schema
			if p.peek() == '"' {
				p.extra(name)
			} else {
				p.value()
			}
		case "x_groq":
			p.groq(name)
		default:
			p.extra(name)
		}
	}
	p.c.Extra = p.extras(extras)
}

// groq finds the usage that Groq sends in a member of its own.
func (p *chunkParser) groq(name []byte) {
	if p.peek() != '{' {
		p.extra(name)
		return
	}
	at := p.nameAt
	for inner := range p.members {
		value := p.value()
		switch string(inner) {
		case "usage":
			p.groqUsage = ofKind(value, '{')
		case "error":
			p.broken = reportsError(value) || p.broken
		}
	}
	p.c.members = append(p.c.members, extraMember{name, p.data[at:p.pos]})
}

// reportsError tells an error from a member that is only there.
func reportsError(value []byte) bool {
	switch string(value) {
	case "null", "false", `""`, "{}", "":
		return false
	}
	return true
}

// ofKind returns value if it begins as values of its kind do, else nil.
func ofKind(value []byte, begin byte) []byte {
	if len(value) == 0 || value[0] != begin {
		return nil
	}
	return value
}

// choices reads the array; null and anything else count as none.
func (p *chunkParser) choices() {
	if p.peek() != '[' {
		p.value()
		return
	}
	if p.hasChoices {
		p.fail()
		return
	}
	p.hasChoices = true
	p.enter('[')
	for first := true; p.more(first, ']'); first = false {
		if p.peek() == '{' {
			p.choice()
		} else {
			p.value()
		}
	}
}

func (p *chunkParser) choice() {
	if len(p.c.Choices) == maxChoices {
		p.fail()
		return
	}
	ch := p.c.addChoice()
	ch.Index = len(p.c.Choices) - 1
	extras, said := len(p.c.members), false
	for name := range p.members {
		switch string(name) {
		case "index":
			if n, ok := spanInt(p.value()); ok {
				ch.Index = n
			}
		case p.key:
			switch {
			case p.peek() != '{':
				p.value()
			case said:
				p.fail()
			default:
				said = true
				p.delta(ch)
			}
		case "logprobs":
			ch.Logprobs = p.logprobs()
		case "finish_reason":
			ch.FinishReason = knownReason(p.value())
		case "error": // OpenRouter reports errors here, too
			p.broken = reportsError(p.value()) || p.broken
		default:
			p.extra(name)
		}
	}
	if ch.Index < 0 || ch.Index >= maxChoices {
		p.fail()
	}
	if said {
		p.said++
	}
	ch.Extra = p.extras(extras)
}

// logprobs reads the object. The schema requires two members of it, each an
// array or null: where they are otherwise, the object is written anew.
func (p *chunkParser) logprobs() []byte {
	if p.peek() != '{' {
		p.value()
		return nil
	}
	start, extras, count := p.pos, len(p.c.members), 0
	var content, refusal []byte
	for name := range p.members {
		switch string(name) {
		case "content":
			content = p.value()
			count++
		case "refusal":
			refusal = p.value()
			count++
		default:
			p.extra(name)
		}
	}
	extra := p.extras(extras)
	if p.failed || count == 2 && isList(content) && isList(refusal) {
		return p.data[start:p.pos]
	}
	if !isList(content) {
		content = []byte("null")
	}
	if !isList(refusal) {
		refusal = []byte("null")
	}
	comma := []byte(",")[:min(1, len(extra))]
	return p.c.keep([]byte(`{"content":`), content, []byte(`,"refusal":`), refusal, comma, extra, []byte("}"))
}

// isList reports whether value is an array or null.
func isList(value []byte) bool { return len(value) > 0 && (value[0] == '[' || value[0] == 'n') }

// knownReason returns a finish reason as a string, without allocating for those
// of the profile.
func knownReason(raw []byte) string {
	switch string(raw) {
	case "null", `""`:
		return ""
	case `"stop"`:
		return "stop"
	case `"length"`:
		return "length"
	case `"tool_calls"`:
		return "tool_calls"
	case `"content_filter"`:
		return "content_filter"
	}
	if ofKind(raw, '"') == nil {
		return ""
	}
	return string(bytes.ToValidUTF8(unquoted(raw), nil))
}
