package anthropic

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// setTools maps tools and tool_choice, or the deprecated functions.
func (b *body) setTools(c *chat, m *call, talk *conversation, can capability) error {
	specs, wish := c.Tools, c.ToolChoice
	if len(specs) == 0 && len(c.Functions) > 0 {
		m.functions = true
		wish = c.FunctionCall
		for _, f := range c.Functions {
			specs = append(specs, toolSpec{Function: f})
		}
	}
	for i := range specs {
		if t := specs[i].Type; t != "" && t != "function" {
			param := fmt.Sprintf("tools[%d].type", i)
			return refuse(param, "unsupported_value",
				"Tools of type '%s' are not supported by this model. Declare a function tool instead.", brief(t))
		}
		if wish.mode == "allowed" && !slices.Contains(wish.names, specs[i].Function.Name) {
			continue
		}
		b.Tools = append(b.Tools, specs[i].tool(can))
	}
	if len(b.Tools) == 0 {
		b.declareUsed(talk.used)
		return nil
	}
	b.ToolChoice = wish.toolChoice()
	if m.functions || c.Parallel != nil && !*c.Parallel {
		b.ToolChoice = b.ToolChoice.single()
	}
	return nil
}

// declareUsed declares the tools of the conversation's past when the request
// declares none: the API demands it, and none of them is to be called.
func (b *body) declareUsed(names []string) {
	for _, name := range names {
		b.Tools = append(b.Tools, tool{Name: name, InputSchema: inputSchema(nil)})
	}
	if len(names) > 0 {
		b.ToolChoice = &toolChoice{Type: "none"}
	}
}

func (t *toolSpec) tool(can capability) tool {
	f := &t.Function
	out := tool{Name: f.Name, Description: f.Description, InputSchema: inputSchema(f.Parameters)}
	out.Strict = f.Strict && can.structured && enforceable(f.Parameters)
	if t.CacheControl.Kind() == '{' {
		out.CacheControl = t.CacheControl
	}
	return out
}

// toolChoice maps the choice; nil leaves it to the API, which is auto.
func (c *choice) toolChoice() *toolChoice {
	switch c.mode {
	case "auto":
		return &toolChoice{Type: "auto"}
	case "required":
		return &toolChoice{Type: "any"}
	case "none":
		return &toolChoice{Type: "none"}
	case "one":
		return &toolChoice{Type: "tool", Name: c.names[0]}
	case "allowed":
		if c.require {
			return &toolChoice{Type: "any"}
		}
		return &toolChoice{Type: "auto"}
	}
	return nil
}

// single allows at most one call in an answer.
func (c *toolChoice) single() *toolChoice {
	switch {
	case c == nil:
		return &toolChoice{Type: "auto", DisableParallel: true}
	case c.Type != "none":
		c.DisableParallel = true
	}
	return c
}

// forces reports whether the model must call a tool, which excludes thinking.
func (c *toolChoice) forces() bool { return c != nil && (c.Type == "any" || c.Type == "tool") }

// inputSchema makes parameters acceptable: they must be an object that says so.
func inputSchema(parameters jsontext.Value) jsontext.Value {
	if parameters.Kind() != '{' {
		return jsontext.Value(`{"type":"object","properties":{}}`)
	}
	if _, ok := member(parameters, "type"); ok {
		return parameters
	}
	rest := bytes.TrimLeft(bytes.TrimSpace(parameters)[1:], " \t\r\n")
	if rest[0] == '}' {
		return jsontext.Value(`{"type":"object","properties":{}}`)
	}
	return append(jsontext.Value(`{"type":"object",`), rest...)
}

// enforceable reports whether the API can hold a model to schema: it refuses
// limits on numbers, lengths and counts. A property of such a name is taken for
// one, which costs the guarantee and nothing else.
func enforceable(schema jsontext.Value) bool {
	limits := []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
		"patternProperties", "pattern", "not", "if", "oneOf"}
	d := jsontext.NewDecoder(bytes.NewReader(schema), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		t, err := d.ReadToken()
		if err != nil {
			return schema.Kind() == '{'
		}
		_, n := d.StackIndex(d.StackDepth())
		kind, _ := d.StackIndex(d.StackDepth())
		if isName := kind == '{' && n%2 == 1 && t.Kind() == '"'; isName && slices.Contains(limits, t.String()) {
			return false
		}
	}
}
