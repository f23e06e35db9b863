package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxDepth bounds merge keys and aliases that lead to themselves, and maxMerges what
// they multiply to.
const (
	maxDepth  = 32
	maxMerges = 10_000
)

// decoder reads one YAML file into a Config, collecting faults as it goes.
type decoder struct {
	file    string
	environ map[string]string
	keyless bool // unset variables below providers and models do not matter
	anchors map[string]ast.Node
	origins map[string]origin // where each path was set
	faults  Faults
	merges  int // merge keys followed so far
}

func (d *decoder) decode(data []byte, cfg *Config) {
	tree, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntaxFault(err)
		return
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return
	}
	if len(tree.Docs) > 1 && tree.Docs[1].Body != nil {
		d.fault(tree.Docs[1].Body, "", &problem{"a second document", "keep one: everything before the second ---"})
	}
	for _, doc := range tree.Docs {
		ast.Walk(anchorCollector(d.anchors), doc)
	}
	d.decodeStruct(reflect.ValueOf(cfg).Elem(), tree.Docs[0].Body, "", 0)
}

type anchorCollector map[string]ast.Node

// Visit implements ast.Visitor.
func (c anchorCollector) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		c[a.Name.GetToken().Value] = a.Value
	}
	return c
}

func (d *decoder) syntaxFault(err error) {
	f := Fault{Source: d.file, Problem: "is no YAML: " + err.Error(), Remedy: "mind indentation and quotes"}
	if y, ok := errors.AsType[yaml.Error](err); ok {
		f.Problem = "is no YAML: " + y.GetMessage()
		if tk := y.GetToken(); tk != nil && tk.Position != nil {
			f.Line = tk.Position.Line
		}
	}
	d.faults = append(d.faults, f)
}

func (d *decoder) fault(n ast.Node, path string, p *problem) {
	d.faults = append(d.faults, p.at(d.origin(n), path))
}

func (d *decoder) origin(n ast.Node) origin {
	o := origin{source: d.file}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		o.line = tk.Position.Line
	}
	return o
}

// resolve follows anchors, aliases and tags to the node that has the value.
func (d *decoder) resolve(n ast.Node) ast.Node {
	for range maxDepth {
		switch x := n.(type) {
		case *ast.AnchorNode:
			n = x.Value
		case *ast.TagNode:
			n = x.Value
		case *ast.AliasNode:
			target, ok := d.anchors[x.Value.GetToken().Value]
			if !ok {
				return n
			}
			n = target
		default:
			return n
		}
	}
	return n
}

// entry is a key of a mapping with its value.
type entry struct {
	name  string
	key   ast.Node
	value ast.Node
}

// entries lists a mapping's keys, merged ones first, and reports duplicates.
func (d *decoder) entries(n ast.Node, path string, depth int) []entry {
	var pairs []*ast.MappingValueNode
	switch x := d.resolve(n).(type) {
	case *ast.MappingNode:
		pairs = x.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{x}
	case *ast.NullNode:
		return nil
	default:
		d.fault(n, path, &problem{"is " + describe(x) + ", not a mapping", "write name: value lines below it, indented"})
		return nil
	}
	var merged, own []entry
	lines := map[string]int{}
	for _, pair := range pairs {
		if pair.Key.IsMergeKey() {
			if d.merges++; depth < maxDepth && d.merges < maxMerges {
				m := d.entries(pair.Value, path, depth+1)
				merged = append(merged, m...)
			}
			continue
		}
		name := pair.Key.GetToken().Value
		if line, twice := lines[name]; twice {
			d.fault(pair.Key, join(path, name), &problem{fmt.Sprintf("is there twice, first in line %d", line), "remove one of them"})
			continue
		}
		lines[name] = d.origin(pair.Key).line
		own = append(own, entry{name, pair.Key, pair.Value})
	}
	merged = slices.DeleteFunc(merged, func(e entry) bool { _, replaced := lines[e.name]; return replaced })
	return append(merged, own...)
}

func (d *decoder) decodeStruct(v reflect.Value, n ast.Node, path string, depth int) {
	entries := d.entries(n, path, depth)
	for _, e := range entries {
		at := join(path, e.name)
		f, known := fieldNamed(v.Type(), e.name)
		if !known {
			d.fault(e.key, at, &problem{"there is no such setting", didYouMean(e.name, fieldNames(v.Type()))})
			continue
		}
		d.origins[at] = d.origin(e.key)
		d.decodeValue(v.FieldByIndex(f.Index), f.Tag, e.value, at, depth+1)
	}
}

func (d *decoder) decodeValue(v reflect.Value, tag reflect.StructTag, n ast.Node, path string, depth int) {
	switch resolved := d.resolve(n); {
	case resolved.Type() == ast.NullType:
	case resolved.Type() == ast.AliasType:
		d.fault(n, path, &problem{"refers to an anchor that does not exist", "define it with &name first"})
	case v.Kind() == reflect.Struct:
		d.decodeStruct(v, n, path, depth)
	case v.Kind() == reflect.Map:
		d.decodeMap(v, tag, n, path, depth)
	case v.Kind() == reflect.Slice:
		d.decodeList(v, n, path, depth)
	default:
		d.decodeScalar(v, tag, resolved, path)
	}
}

func (d *decoder) decodeMap(v reflect.Value, tag reflect.StructTag, n ast.Node, path string, depth int) {
	entries := d.entries(n, path, depth)
	for _, e := range entries {
		at := join(path, e.name)
		d.origins[at] = d.origin(e.key)
		if p := checkText(tag.Get("key"), e.name); p != nil {
			d.fault(e.key, at, p)
			continue
		}
		value := reflect.New(v.Type().Elem()).Elem()
		if value.Kind() == reflect.Struct {
			setDefaults(value)
		}
		d.decodeValue(value, "", e.value, at, depth+1)
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf(e.name), value)
	}
}

func (d *decoder) decodeList(v reflect.Value, n ast.Node, path string, depth int) {
	list, ok := d.resolve(n).(*ast.SequenceNode)
	if !ok {
		d.fault(n, path, &problem{"is " + describe(d.resolve(n)) + ", not a list", "begin each element with - on its own line"})
		return
	}
	for i, element := range list.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.origins[at] = d.origin(element)
		if m, ok := element.(*ast.MappingNode); ok && len(m.Values) > 0 {
			d.origins[at] = d.origin(m.Values[0].Key)
		}
		value := reflect.New(v.Type().Elem()).Elem()
		if value.Kind() == reflect.Struct {
			setDefaults(value)
		}
		d.decodeValue(value, "", element, at, depth+1)
		v.Set(reflect.Append(v, value))
	}
}

func (d *decoder) decodeScalar(v reflect.Value, tag reflect.StructTag, n ast.Node, path string) {
	text, p := scalarText(n, v.Type())
	if p != nil {
		d.fault(n, path, p)
		return
	}
	text, problems := expand(text, d.environ)
	if len(problems) > 0 {
		if d.keyless && (strings.HasPrefix(path, "providers.") || strings.HasPrefix(path, "models.")) {
			return
		}
		for _, p := range problems {
			d.fault(n, path, p)
		}
		return
	}
	if p := setScalar(v, tag, text); p != nil {
		d.fault(n, path, p)
	}
}
