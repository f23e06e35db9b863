package anthropic

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// conversation collects the messages of a request as the API wants them: system
// text apart, user and assistant turns that alternate.
type conversation struct {
	system []block
	turns  []turn
	// results counts the tool results of the last turn. Invariant: they are its
	// first blocks, as the API demands.
	results int

	used     []string // names of the tools called so far, each once
	lastCall string   // id given to the last function_call, for the function message that answers it
}

// converse maps messages.
func converse(messages []message) (*conversation, error) {
	c := new(conversation)
	for i := range messages {
		if err := c.take(i, &messages[i]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *conversation) take(i int, m *message) error {
	blocks, err := m.Content.blocks(i)
	if err != nil {
		return err
	}
	switch m.Role {
	case "system", "developer":
		for j := range blocks {
			if blocks[j].Type != "text" {
				at := place{i, j}
				return refuse(at.field(""), "unsupported_value", "A %s message of this model takes text alone. Put the rest into a user message.", m.Role)
			}
		}
		c.system = append(c.system, blocks...)
	case "user":
		c.add("user", blocks)
	case "assistant":
		c.add("assistant", append(blocks, c.said(i, m)...))
	case "tool":
		c.result(block{Type: "tool_result", ToolUseID: toolUseID(m.ToolCallID), Content: blocks})
	case "function":
		c.result(block{Type: "tool_result", ToolUseID: toolUseID(c.lastCall), Content: blocks})
	default:
		param := fmt.Sprintf("messages[%d].role", i)
		return refuse(param, "invalid_value", "Invalid value: '%s'. Supported values are: "+
			"'system', 'assistant', 'user', 'function', 'tool', and 'developer'.", brief(m.Role))
	}
	return nil
}

// said returns what an assistant message holds besides its content.
func (c *conversation) said(i int, m *message) []block {
	var out []block
	if strings.TrimSpace(m.Refusal) != "" {
		out = append(out, block{Type: "text", Text: m.Refusal})
	}
	for _, t := range m.ToolCalls {
		if t.Type == "custom" {
			out = append(out, c.call(t.ID, t.Custom.Name, wrapped("input", t.Custom.Input)))
			continue
		}
		out = append(out, c.call(t.ID, t.Function.Name, input(t.Function.Arguments)))
	}
	if m.FunctionCall.Name != "" {
		c.lastCall = fmt.Sprintf("call_%d", i)
		out = append(out, c.call(c.lastCall, m.FunctionCall.Name, input(m.FunctionCall.Arguments)))
	}
	return out
}

func (c *conversation) call(id, name string, in jsontext.Value) block {
	if !slices.Contains(c.used, name) {
		c.used = append(c.used, name)
	}
	return block{Type: "tool_use", ID: toolUseID(id), Name: name, Input: in}
}

// add appends blocks to the last turn if it is role's, else as a new turn.
func (c *conversation) add(role string, blocks []block) {
	if len(blocks) == 0 {
		return
	}
	if n := len(c.turns); n > 0 && c.turns[n-1].Role == role {
		c.turns[n-1].Content = append(c.turns[n-1].Content, blocks...)
		return
	}
	c.turns, c.results = append(c.turns, turn{Role: role, Content: blocks}), 0
}

// result puts a tool result behind the others of the user turn, before its text.
func (c *conversation) result(b block) {
	if last := len(b.Content) - 1; last >= 0 && b.Content[last].CacheControl != nil {
		b.CacheControl, b.Content[last].CacheControl = b.Content[last].CacheControl, nil
	}
	c.add("user", []block{b})
	blocks := c.turns[len(c.turns)-1].Content
	copy(blocks[c.results+1:], blocks[c.results:len(blocks)-1])
	blocks[c.results] = b
	c.results++
}

// close makes the turns acceptable: the first is the user's, and the last is too
// where the model does not continue an assistant's text.
func (c *conversation) close(prefill bool) {
	if len(c.turns) == 0 { // instructions alone are what the user says
		c.add("user", c.system)
		c.system = nil
	}
	if len(c.turns) == 0 || c.turns[0].Role != "user" {
		c.turns = append([]turn{{Role: "user", Content: []block{{Type: "text", Text: "Begin."}}}}, c.turns...)
	}
	last := &c.turns[len(c.turns)-1]
	if last.Role != "assistant" {
		return
	}
	b := &last.Content[len(last.Content)-1]
	switch {
	case b.Type != "text":
	case prefill:
		b.Text = strings.TrimRightFunc(b.Text, unicode.IsSpace)
	default:
		c.add("user", []block{{Type: "text", Text: "Continue."}})
	}
}

// inToolLoop reports whether the conversation ends with tool results.
func (c *conversation) inToolLoop() bool {
	last := c.turns[len(c.turns)-1]
	return last.Role == "user" && last.Content[0].Type == "tool_result"
}

func (c *conversation) endsWithAssistant() bool {
	return c.turns[len(c.turns)-1].Role == "assistant"
}

// systemPrompt joins the system texts with one line break, as Anthropic's own
// compatibility layer does. Texts of which one is a cache breakpoint stay apart.
func (c *conversation) systemPrompt() any {
	switch {
	case len(c.system) == 0:
		return nil
	case hasCacheControl(c.system):
		return c.system
	}
	texts := make([]string, len(c.system))
	for i := range c.system {
		texts[i] = c.system[i].Text
	}
	return strings.Join(texts, "\n")
}

// input returns the arguments of a call as the object that the API demands. Text
// that is none, such as arguments cut short by a token limit, is kept in one.
func input(arguments string) jsontext.Value {
	arguments = strings.TrimSpace(arguments)
	if arguments == "" || arguments == "null" {
		return jsontext.Value(`{}`)
	}
	v := jsontext.Value(arguments)
	if v.Kind() == '{' && v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		return v
	}
	return wrapped("arguments", arguments)
}

func wrapped(name, text string) jsontext.Value {
	b := append([]byte(`{"`+name+`":`), quote(text)...)
	return append(b, '}')
}

func quote(text string) []byte {
	b, _ := jsontext.AppendQuote(nil, strings.ToValidUTF8(text, "\ufffd")) // fails on invalid UTF-8 alone
	return b
}

// toolUseID makes an id from another provider acceptable, the same way for a call
// and its result.
func toolUseID(id string) string {
	id = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, id)
	if id == "" {
		return "call"
	}
	return id
}
