package anthropic

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonObjectRule asks for what response_format json_object promises; the API
// cannot enforce JSON without a schema.
const jsonObjectRule = "Answer with one valid JSON object and nothing else: no code fence, no text around it."

// setFormat maps response_format. A schema goes to the API as it is where model
// and schema allow it; otherwise it becomes a tool that the model must call, and
// the tool's input is the answer's content.
func (b *body) setFormat(c *chat, m *call, talk *conversation, can capability) error {
	f := &c.ResponseFormat.JSONSchema
	switch c.ResponseFormat.Type {
	case "json_object":
		talk.system = append(talk.system, block{Type: "text", Text: jsonObjectRule})
		return nil
	case "json_schema":
	default:
		return nil
	}
	object := isObjectSchema(f.Schema)
	switch {
	case can.structured && f.Schema.Kind() == '{' && (!object || f.Strict && enforceable(f.Schema)):
		if b.OutputConfig == nil {
			b.OutputConfig = new(outputConfig)
		}
		b.OutputConfig.Format = &outputFormat{Type: "json_schema", Schema: f.Schema}
	case !object:
		return refuse("response_format.json_schema.schema", "invalid_value",
			"Invalid schema for response_format: this model needs a schema of type 'object'. Wrap the value in an object.")
	default:
		b.answerByTool(f.Schema, f.Description, m)
	}
	return nil
}

// answerByTool adds the tool that carries the answer. Without tools of the
// client's it is the only one allowed, beside them it is one more; and where the
// client forces a call of theirs there is no other content.
func (b *body) answerByTool(schema jsontext.Value, description string, m *call) {
	if b.ToolChoice.forces() {
		return
	}
	m.jsonTool = b.freeName("json_response")
	text := "Give the answer to the user by calling this tool. Its input is the whole answer."
	b.Tools = append(b.Tools, tool{
		Name:        m.jsonTool,
		Description: strings.TrimSpace(text + " " + description),
		InputSchema: inputSchema(schema),
	})
	only := len(b.Tools) == 1 || b.ToolChoice != nil && b.ToolChoice.Type == "none"
	parallel := b.ToolChoice != nil && b.ToolChoice.DisableParallel
	b.ToolChoice = &toolChoice{Type: "any", DisableParallel: parallel}
	if only {
		b.ToolChoice = &toolChoice{Type: "tool", Name: m.jsonTool, DisableParallel: true}
	}
}

// freeName returns name, with as many underscores as make it differ from every tool.
func (b *body) freeName(name string) string {
	for slices.ContainsFunc(b.Tools, func(t tool) bool { return t.Name == name }) {
		name += "_"
	}
	return name
}

// isObjectSchema reports whether a schema describes an object, as far as its root
// tells. No schema at all is any object.
func isObjectSchema(schema jsontext.Value) bool {
	if schema == nil || schema.Kind() == 'n' {
		return true
	}
	t, ok := member(schema, "type")
	if ok {
		return string(t) == `"object"`
	}
	_, anyOf := member(schema, "anyOf")
	_, ref := member(schema, "$ref")
	return !anyOf && !ref
}
