package protocol

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The texts and codes with which OpenAI refuses a request. Each names the path of
// the value at fault, also as the error's param.

func errNoModel() *Error { return ErrInvalid("", "", "you must provide a model parameter") }

func faultMissing(path string) *Error {
	return ErrInvalid(path, "missing_required_parameter", "Missing required parameter: '%s'.", path)
}

// faultType says that the value, of the given kind and, if a scalar, text, has
// another JSON type than s wants.
func faultType(path string, s *schema, kind jsontext.Kind, raw []byte) *Error {
	return ErrInvalid(path, "invalid_type", "Invalid type for '%s': expected %s, but got %s instead.",
		path, expected(s), kindName(kind, raw))
}

func faultNotObject(kind jsontext.Kind, raw []byte) *Error {
	return ErrInvalid("", "invalid_type", "Invalid type: expected an object, but got %s instead.", kindName(kind, raw))
}

func faultValue(path string, quoted []byte, enum []string) *Error {
	got, _ := unquote(quoted)
	return ErrInvalid(path, "invalid_value", "Invalid value: '%s'. Supported values are: %s.",
		shorten(got), listed(enum, "and"))
}

// faultTag says what is wrong with the tag of the object at path; raw is its
// value, nil if it is missing.
func faultTag(path string, s *schema, raw []byte) *Error {
	path = join(path, s.tag)
	switch {
	case raw == nil:
		return faultMissing(path)
	case raw[0] == '"':
		return faultValue(path, raw, s.tags)
	}
	return faultType(path, oneOf(s.tags...), jsontext.Kind(raw[0]), raw)
}

func faultBelow(path, kind, limit string, got []byte) *Error {
	return ErrInvalid(path, kind+"_below_min_value",
		"Invalid '%s': %s below minimum value. Expected a value >= %s, but got %s instead.", path, kind, limit, shorten(string(got)))
}

func faultAbove(path, kind, limit string, got []byte) *Error {
	return ErrInvalid(path, kind+"_above_max_value",
		"Invalid '%s': %s above maximum value. Expected a value <= %s, but got %s instead.", path, kind, limit, shorten(string(got)))
}

// faultItems says that an array has n items, too few or too many.
func faultItems(path string, s *schema, n int) *Error {
	if n == 0 {
		return ErrInvalid(path, "empty_array",
			"Invalid '%s': empty array. Expected an array with minimum length %d, but got an empty array instead.", path, s.minItems)
	}
	return ErrInvalid(path, "array_above_max_length",
		"Invalid '%s': array too long. Expected an array with maximum length %d, but got an array with length %d instead.",
		path, s.maxItems, n)
}

func faultLength(path string, limit, got int) *Error {
	return ErrInvalid(path, "string_above_max_length",
		"Invalid '%s': string too long. Expected a string with maximum length %d, but got a string with length %d instead.",
		path, limit, got)
}

func faultPattern(path string) *Error {
	return ErrInvalid(path, "invalid_value",
		"Invalid '%s': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.", path)
}

func faultMembers(path string, limit, got int) *Error {
	return ErrInvalid(path, "object_above_max_properties",
		"Invalid '%s': too many properties. Expected an object with at most %d properties, but got an object with %d properties instead.",
		path, limit, got)
}

// faultName says that the name at the end of path is too long.
func faultName(path string, quoted []byte, limit int) *Error {
	name, _ := unquote(quoted)
	runes := []rune(name)
	return ErrInvalid(path, "property_name_above_max_length",
		"Invalid property name in '%s': '%s...%s' is too long. Expected a string with maximum length %d, but got a string with length %d instead.",
		strings.TrimSuffix(path, "."+shorten(name)), string(runes[:3]), string(runes[len(runes)-3:]), limit, len(runes))
}

// The next five have no counterpart at OpenAI.

func errNotStored() *Error {
	return ErrInvalid("store", "invalid_value", "Invalid value: 'false'. 'store' must be true, or left out, when 'background' is true: "+
		"the answer has to be kept until you fetch it.")
}

func errNotInBatch(param, instead string) *Error {
	return ErrInvalid(param, "unsupported_parameter", "Unsupported parameter: '%s' is not supported in the Batch API. %s", param, instead)
}

func faultDuplicate(path string) *Error {
	return ErrInvalid(path, "", "Duplicate key in the JSON body of your request: '%s'. Each key of an object must occur only once.", path)
}

func faultDepth() *Error {
	return ErrInvalid("", "", "The JSON body of your request is nested too deeply: the limit is %d levels.", maxDepth)
}

func faultWidth() *Error {
	return ErrInvalid("", "", "The objects in the JSON body of your request have too many keys.")
}

// expected names what s accepts: "an integer", "one of a string or array of objects".
func expected(s *schema) string {
	var names []string
	switch {
	case s.enum != nil:
		names = append(names, alternatives(s.enum))
	case s.kinds&isString != 0:
		names = append(names, "string")
	case s.kinds&isInteger != 0:
		names = append(names, "integer")
	case s.kinds&isDecimal != 0:
		names = append(names, "decimal")
	case s.kinds&isBoolean != 0:
		names = append(names, "boolean")
	}
	if s.kinds&isArray != 0 {
		names = append(names, "array of "+plural(s.item))
	}
	if s.kinds&isObject != 0 {
		names = append(names, "object")
	}
	if s.enum == nil {
		names[0] = article(names[0])
	}
	if len(names) == 1 {
		return names[0]
	}
	return "one of " + strings.Join(names, " or ")
}

// alternatives is an enumeration as a type: "one of 'auto' or 'none'".
func alternatives(enum []string) string {
	if len(enum) == 1 {
		return listed(enum, "or")
	}
	return "one of " + listed(enum, "or")
}

func plural(item *schema) string {
	if item.kinds&isObject != 0 {
		return "objects"
	}
	return "strings"
}

func article(name string) string {
	if strings.IndexByte("aeiou", name[0]) >= 0 {
		return "an " + name
	}
	return "a " + name
}

// listed writes 'a', 'a' and 'b', or 'a', 'b', and 'c'.
func listed(values []string, conjunction string) string {
	last := len(values) - 1
	switch last {
	case 0:
		return "'" + values[0] + "'"
	case 1:
		return "'" + values[0] + "' " + conjunction + " '" + values[1] + "'"
	}
	return "'" + strings.Join(values[:last], "', '") + "', " + conjunction + " '" + values[last] + "'"
}

// kindName names a JSON type, with its article; raw tells the two kinds of numbers apart.
func kindName(kind jsontext.Kind, raw []byte) string {
	switch kind {
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	case '[':
		return "an array"
	case '{':
		return "an object"
	}
	if _, ok := integerValue(bytes.TrimSpace(raw)); ok {
		return "an integer"
	}
	return "a decimal number"
}
