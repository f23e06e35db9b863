package echo

import (
	"encoding/json"
	"maps"
	"strings"
)

// maxDepth ends schemas that refer to themselves.
const maxDepth = 16

// schema is the part of JSON Schema that tools and response formats use.
type schema struct {
	Type       any                `json:"type"` // a name or a list of them
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	Enum       []any              `json:"enum"`
	Const      any                `json:"const"`
	AnyOf      []*schema          `json:"anyOf"`
	OneOf      []*schema          `json:"oneOf"`
	AllOf      []*schema          `json:"allOf"`
	Ref        string             `json:"$ref"`
	Defs       map[string]*schema `json:"$defs"`
	OldDefs    map[string]*schema `json:"definitions"`
	MinItems   int                `json:"minItems"`
	MinLength  int                `json:"minLength"`
	Minimum    *float64           `json:"minimum"`
	Above      *float64           `json:"exclusiveMinimum"`
	MultipleOf float64            `json:"multipleOf"`
}

// instance returns a small JSON value that fits a schema: required members, the
// least numbers, text wherever a string may be anything. A schema that cannot be
// read gives {}.
func instance(raw []byte, text string) string {
	var s schema
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return "{}"
	}
	g := generator{root: &s, text: text}
	value := g.value(&s, 0)
	out, err := json.Marshal(value)
	if err != nil {
		return "{}"
	}
	return string(out)
}

type generator struct {
	root *schema
	text string
}

func (g *generator) value(s *schema, depth int) any {
	if s == nil || depth > maxDepth {
		return nil
	}
	switch {
	case s.Ref != "":
		return g.value(g.resolve(s.Ref), depth+1)
	case s.Const != nil:
		return s.Const
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.AnyOf) > 0:
		return g.value(s.AnyOf[0], depth+1)
	case len(s.OneOf) > 0:
		return g.value(s.OneOf[0], depth+1)
	case len(s.AllOf) > 0:
		return g.merged(s.AllOf, depth)
	}
	switch s.kind() {
	case "object":
		return g.object(s, depth)
	case "array":
		items := make([]any, min(s.MinItems, 1000))
		for i := range items {
			items[i] = g.value(s.Items, depth+1)
		}
		return items
	case "string":
		return g.text + strings.Repeat("x", max(0, min(s.MinLength, 1<<16)-len([]rune(g.text))))
	case "integer", "number":
		return s.least()
	case "boolean":
		return true
	default:
		return nil
	}
}

func (g *generator) object(s *schema, depth int) map[string]any {
	object := make(map[string]any, len(s.Required))
	for _, name := range s.Required {
		object[name] = g.value(s.Properties[name], depth+1)
	}
	return object
}

// merged joins the objects that all of the schemas ask for.
func (g *generator) merged(all []*schema, depth int) any {
	object := map[string]any{}
	for _, s := range all {
		part, ok := g.value(s, depth+1).(map[string]any)
		if !ok {
			return g.value(all[0], depth+1)
		}
		maps.Copy(object, part)
	}
	return object
}

// resolve follows a reference into the root's definitions, or to the root.
func (g *generator) resolve(ref string) *schema {
	if ref == "#" {
		return g.root
	}
	if name, ok := strings.CutPrefix(ref, "#/$defs/"); ok {
		return g.root.Defs[name]
	}
	if name, ok := strings.CutPrefix(ref, "#/definitions/"); ok {
		return g.root.OldDefs[name]
	}
	return nil
}

// kind is the schema's type; without one, what its other members suggest.
func (s *schema) kind() string {
	switch t := s.Type.(type) {
	case string:
		return t
	case []any:
		if len(t) > 0 {
			name, _ := t[0].(string)
			return name
		}
	}
	switch {
	case s.Properties != nil:
		return "object"
	case s.Items != nil:
		return "array"
	default:
		return ""
	}
}

func (s *schema) least() float64 {
	least := 0.0
	if s.Minimum != nil {
		least = *s.Minimum
	}
	if s.Above != nil {
		least = *s.Above + 1
	}
	if s.MultipleOf > 0 {
		steps := float64(int64(least / s.MultipleOf))
		for steps*s.MultipleOf < least {
			steps++
		}
		return steps * s.MultipleOf
	}
	return least
}
