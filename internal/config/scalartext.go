package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// scalarText is the text of a scalar if YAML's type of it fits the field.
func scalarText(n ast.Node, t reflect.Type) (string, *problem) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var text string
	var isString bool
	switch x := n.(type) {
	case *ast.StringNode:
		text, isString = x.Value, true
	case *ast.LiteralNode:
		text, isString = x.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text = n.GetToken().Value
	default:
		return "", &problem{"is " + describe(n) + ", not " + article(t), "write one value on the same line"}
	}
	if strings.Contains(text, "${") {
		return text, nil
	}
	switch {
	case t.Kind() == reflect.String && n.Type() == ast.BoolType:
		return "", &problem{"is " + text + ", not a text", `write "` + text + `" in quotes`}
	case t.Kind() == reflect.Bool && n.Type() != ast.BoolType:
		return "", &problem{fmt.Sprintf("%q is neither true nor false", text), "write true or false, without quotes"}
	case (t.Kind() == reflect.Int || t == reflect.TypeFor[int64]()) && isString:
		return "", &problem{fmt.Sprintf("%q is no whole number", text), "write digits only, without quotes"}
	}
	return text, nil
}

func article(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration"
	case t == reflect.TypeFor[Size]():
		return "a size"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "a text"
	}
	return "a number"
}

func describe(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	case ast.BoolType:
		return "a boolean"
	case ast.IntegerType, ast.FloatType:
		return "a number"
	case ast.NullType:
		return "empty"
	}
	return "a text"
}
