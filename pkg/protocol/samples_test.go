package protocol

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
)

// sample is a request that is right but perhaps at one place.
type sample struct {
	path     string // the place, such as messages[].content
	value    string // what stands there: JSON text, or a word for what was done
	optional bool   // the place is a member that may be missing
	json     any    // the value; in the end of the whole request
	body     []byte
}

// generator makes samples from the published schemas.
type generator struct{ defs map[string]any }

func newGenerator(t *testing.T) *generator {
	t.Helper()
	raw, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return &generator{defs: file["$defs"].(map[string]any)}
}

// request returns the samples of every property of the request.
func (g *generator) request() []sample {
	properties := make(map[string]any)
	g.collect(map[string]any{"$ref": "#/$defs/CreateChatCompletionRequest"}, properties)
	base := map[string]any{"model": "m", "messages": []any{map[string]any{"role": "user", "content": "hi"}}}
	var out []sample
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		for _, s := range g.samples(properties[name].(map[string]any), name) {
			request := maps.Clone(base)
			request[name] = s.json
			s.optional = s.optional || s.path == name && base[name] == nil
			s.body, _ = json.Marshal(request)
			out = append(out, s)
		}
	}
	return out
}

// collect gathers the properties of a schema made of allOf and references.
func (g *generator) collect(schema, into map[string]any) {
	schema = g.resolve(schema)
	for _, part := range list(schema["allOf"]) {
		g.collect(part, into)
	}
	properties, _ := schema["properties"].(map[string]any)
	maps.Copy(into, properties)
}

func (g *generator) resolve(schema map[string]any) map[string]any {
	for {
		ref, ok := schema["$ref"].(string)
		if !ok {
			return schema
		}
		schema = g.defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
}

func list(v any) (out []map[string]any) {
	items, _ := v.([]any)
	for _, i := range items {
		out = append(out, i.(map[string]any))
	}
	return out
}

func branches(schema map[string]any) []map[string]any {
	return append(list(schema["anyOf"]), list(schema["oneOf"])...)
}

// anything is tried at every place.
var anything = []any{
	nil, true, json.Number("0"), json.Number("1"), json.Number("-1"), json.Number("1.5"), json.Number("1.0"), json.Number("1e2"),
	json.Number("200"), json.Number("100000000000000000000000"), "", "x", "a b", []any{}, []any{nil}, []any{"x"}, []any{json.Number("1")}, map[string]any{},
	map[string]any{"k": "v"}, map[string]any{"k": nil}, map[string]any{"type": "bogus"}, []any{map[string]any{}},
}

// samples returns values to try at a place of which schema speaks.
func (g *generator) samples(schema map[string]any, path string) []sample {
	var out []sample
	for _, v := range anything {
		out = append(out, scalar(path, v))
	}
	return append(out, g.own(schema, path)...)
}

func scalar(path string, v any) sample {
	text, _ := json.Marshal(v)
	return sample{path: path, value: string(text), json: v}
}

// own returns the values that follow from the schema itself.
func (g *generator) own(schema map[string]any, path string) (out []sample) {
	schema = g.resolve(schema)
	for _, b := range branches(schema) {
		out = append(out, g.own(b, path)...)
	}
	for _, v := range anyList(schema["enum"]) {
		out = append(out, scalar(path, v), scalar(path, v.(string)+"?"))
	}
	for key, step := range map[string]int64{"minimum": -1, "maximum": 1} {
		if limit, ok := schema[key].(json.Number); ok {
			n, _ := new(big.Int).SetString(limit.String(), 10)
			out = append(out, scalar(path, limit), scalar(path, json.Number(n.Add(n, big.NewInt(step)).String())))
		}
	}
	if n := size(schema["maxLength"]); n > 0 {
		out = append(out, scalar(path, strings.Repeat("ż", n)), scalar(path, strings.Repeat("ż", n+1)))
	}
	switch schema["type"] {
	case "array":
		out = append(out, g.arrays(schema, path)...)
	case "object":
		out = append(out, g.objects(schema, path)...)
	}
	return out
}

func (g *generator) arrays(schema map[string]any, path string) (out []sample) {
	item := schema["items"].(map[string]any)
	for _, n := range []int{size(schema["minItems"]), size(schema["maxItems"]), size(schema["maxItems"]) + 1} {
		items := []any{}
		for range n {
			items = append(items, g.valid(item))
		}
		out = append(out, scalar(path, items))
	}
	for _, s := range g.samples(item, path+"[]") {
		s.json = []any{s.json}
		out = append(out, s)
	}
	return out
}

func (g *generator) objects(schema map[string]any, path string) (out []sample) {
	full := g.full(schema)
	least := make(map[string]any)
	required := anyList(schema["required"])
	for _, name := range required {
		least[name.(string)] = full[name.(string)]
		without := maps.Clone(full)
		delete(without, name.(string))
		out = append(out, sample{path: path + "." + name.(string), value: "missing", json: without})
	}
	out = append(out, sample{path: path, value: "full", json: full}, sample{path: path, value: "least", json: least})
	more := maps.Clone(full)
	more["x_unknown"] = []any{json.Number("1")}
	out = append(out, sample{path: path, value: "unknown member", json: more})
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		place := path + "." + name
		for _, s := range g.samples(properties[name].(map[string]any), place) {
			changed := maps.Clone(full)
			changed[name] = s.json
			s.json = changed
			s.optional = s.optional || s.path == place && !slices.Contains(required, any(name))
			out = append(out, s)
		}
	}
	if other, ok := schema["additionalProperties"].(map[string]any); ok {
		for _, s := range g.samples(other, path+".k") {
			s.json = map[string]any{"k": s.json}
			out = append(out, s)
		}
	}
	return out
}

// full is an object with all its properties, rightly.
func (g *generator) full(schema map[string]any) map[string]any {
	out := make(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	for name, s := range properties {
		out[name] = g.valid(s.(map[string]any))
	}
	return out
}

// valid returns one right value.
func (g *generator) valid(schema map[string]any) any {
	schema = g.resolve(schema)
	if b := branches(schema); len(b) > 0 {
		return g.valid(b[0])
	}
	if values := anyList(schema["enum"]); len(values) > 0 {
		return values[0]
	}
	switch schema["type"] {
	case "array":
		return []any{g.valid(schema["items"].(map[string]any))}
	case "object":
		return g.full(schema)
	case "string":
		return "x"
	case "boolean":
		return true
	case "integer", "number":
		return json.Number("1")
	}
	return nil
}

func anyList(v any) []any { l, _ := v.([]any); return l }

func size(v any) int {
	n, _ := v.(json.Number)
	i, _ := n.Int64()
	return int(i)
}
