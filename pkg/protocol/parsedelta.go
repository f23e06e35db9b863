package protocol

import "bytes"

// delta reads what a choice says: a delta, or the message of a whole answer.
func (p *chunkParser) delta(ch *Choice) {
	extras, calls := len(p.c.members), false
	for name := range p.members {
		switch string(name) {
		case "role", "error":
			p.value()
		case "content":
			ch.Content = p.content()
		case "refusal":
			ch.Refusal = p.stringOrNull()
		case "tool_calls":
			if calls {
				p.fail()
			}
			calls = p.toolCalls(ch) || calls
		case "function_call":
			p.functionCall(ch)
		default:
			p.extra(name)
		}
	}
	ch.DeltaExtra = p.extras(extras)
}

// stringOrNull returns the span of a string or of null, nil for anything else.
func (p *chunkParser) stringOrNull() []byte {
	raw := p.value()
	if len(raw) > 0 && (raw[0] == '"' || raw[0] == 'n') {
		return raw
	}
	return nil
}

// content reads text in any of its forms: a string, null, a part or an array of
// parts. The thinking among the parts becomes the member reasoning_content.
func (p *chunkParser) content() []byte {
	switch p.peek() {
	case '"', 'n':
		p.textAt = p.pos
		return p.value()
	case '{', '[':
	default: // a number is not text
		p.fail()
		return nil
	}
	p.c.text, p.c.thought = p.c.text[:0], p.c.thought[:0]
	text, thought := p.parts(false)
	if thought {
		raw := p.c.keep([]byte(`"reasoning_content":"`), p.c.thought, []byte(`"`))
		p.c.members = append(p.c.members, extraMember{[]byte("reasoning_content"), raw})
	}
	if !text {
		return nil
	}
	return p.c.keep([]byte(`"`), p.c.text, []byte(`"`))
}

// parts collects the text of a part, an array of parts or a string, as raw
// literals without quotes, and reports which kinds there were.
func (p *chunkParser) parts(thinking bool) (text, thought bool) {
	switch p.peek() {
	case '"':
		raw := p.text()
		if p.failed {
			return false, false
		}
		if thinking {
			p.c.thought = append(p.c.thought, raw[1:len(raw)-1]...)
		} else {
			p.c.text = append(p.c.text, raw[1:len(raw)-1]...)
		}
		return !thinking, thinking
	case '[':
		p.enter('[')
		for first := true; p.more(first, ']'); first = false {
			a, b := p.parts(thinking)
			text, thought = text || a, thought || b
		}
	case '{':
		for name := range p.members {
			a, b := false, false
			switch string(name) {
			case "text":
				a, b = p.parts(thinking)
			case "thinking":
				a, b = p.parts(true)
			default:
				p.value()
			}
			text, thought = text || a, thought || b
		}
	default:
		p.value()
	}
	return text, thought
}

// functionCall reads the deprecated function_call.
func (p *chunkParser) functionCall(ch *Choice) {
	if p.peek() != '{' {
		p.value()
		return
	}
	for name := range p.members {
		switch string(name) {
		case "name":
			ch.FunctionName = notEmpty(p.stringOrNull())
		case "arguments":
			ch.FunctionArguments = p.asString()
		default:
			p.value()
		}
	}
}

// toolCalls reads the array of calls, or a single call; false for null.
func (p *chunkParser) toolCalls(ch *Choice) bool {
	switch p.peek() {
	case '{':
		p.toolCall(ch)
	case '[':
		p.enter('[')
		for first := true; p.more(first, ']'); first = false {
			if p.peek() == '{' {
				p.toolCall(ch)
			} else {
				p.value()
			}
		}
	default:
		p.value()
		return false
	}
	return true
}

func (p *chunkParser) toolCall(ch *Choice) {
	if len(ch.ToolCalls) == maxCalls {
		p.fail()
		return
	}
	ch.ToolCalls = append(ch.ToolCalls, ToolCall{Index: -1})
	tc := &ch.ToolCalls[len(ch.ToolCalls)-1]
	extras := len(p.c.members)
	for name := range p.members {
		switch string(name) {
		case "index":
			if n, ok := spanInt(p.value()); ok && n >= 0 {
				tc.Index = n
			}
		case "id":
			tc.ID = notEmpty(p.asString())
		case "type":
			tc.Custom = string(p.value()) == `"custom"` || tc.Custom
		case "function":
			p.function(tc, "arguments")
		case "custom":
			tc.Custom = p.function(tc, "input") || tc.Custom
		case "error":
			p.value()
		default:
			p.extra(name)
		}
	}
	tc.Extra = p.extras(extras)
}

// function reads the body of a call, whose text is in the member named input.
func (p *chunkParser) function(tc *ToolCall, input string) bool {
	if p.peek() != '{' {
		p.value()
		return false
	}
	extras := len(p.c.members)
	for name := range p.members {
		switch string(name) {
		case "name":
			tc.Name = notEmpty(p.stringOrNull())
		case input:
			tc.Arguments = p.asString()
		case "error":
			p.value()
		default:
			p.extra(name)
		}
	}
	tc.FunctionExtra = p.extras(extras)
	return true
}

// asString returns a string as it is, null as nil and the text of anything else
// as a string: some servers send arguments as an object, ids as numbers.
func (p *chunkParser) asString() []byte {
	raw := p.value()
	switch {
	case len(raw) == 0 || raw[0] == 'n':
		return nil
	case raw[0] == '"':
		return raw
	}
	if bytes.IndexByte(raw, '"') < 0 && bytes.IndexByte(raw, '\\') < 0 && bytes.IndexByte(raw, '\t') < 0 {
		return p.c.keep([]byte(`"`), raw, []byte(`"`))
	}
	return p.c.keep(appendLiteral(nil, string(raw)))
}

// notEmpty returns nil for what is not a string, and for the empty one.
func notEmpty(raw []byte) []byte {
	if len(raw) <= 2 || raw[0] != '"' {
		return nil
	}
	return raw
}
