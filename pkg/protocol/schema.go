package protocol

import (
	"math"
	"slices"
)

// kinds is a set of JSON types.
type kinds uint8

const (
	isString kinds = 1 << iota
	isInteger
	isDecimal
	isBoolean
	isArray
	isObject
	acceptsNull // null is a value of its own here, even where the member is required
)

// schema says what a JSON value may be. Schemas are built once by the functions
// below, in the tables of schema_request.go and schema_message.go, and not
// changed afterwards.
type schema struct {
	kinds kinds

	enum       []string // string: the values allowed, in OpenAI's order; nil: any
	maxLength  int      // string: characters; 0: any number
	identifier bool     // string: letters, digits, _ and - only

	minInt, maxInt int64 // integer
	shownMin       int64 // integer: what an error calls the minimum
	low, high      float64

	item               *schema // array
	minItems, maxItems int     // array; 0: no limit

	members    map[string]member // object: the known members; others pass unless there is other
	required   []string          // object: in the order in which they are missed
	other      *schema           // object: what every unknown member must be; nil: anything
	maxMembers int               // object; 0: no limit
	maxName    int               // object: characters in a member's name; 0: no limit

	tag      string             // object: the member whose value chooses the variant
	tags     []string           // object: the values of tag, in OpenAI's order
	variants map[string]*schema // object: by the value of tag
}

// member is a known member of an object.
type member struct {
	*schema
	required bool
	bit      uint64 // in the set of members met; 0 if nobody asks
}

type members map[string]*schema

func text() *schema                     { return &schema{kinds: isString} }
func textUpTo(characters int) *schema   { return &schema{kinds: isString, maxLength: characters} }
func oneOf(values ...string) *schema    { return &schema{kinds: isString, enum: values} }
func boolean() *schema                  { return &schema{kinds: isBoolean} }
func decimal(low, high float64) *schema { return &schema{kinds: isDecimal, low: low, high: high} }

func integer(low, high int64) *schema {
	return &schema{kinds: isInteger, minInt: low, maxInt: high, shownMin: low}
}

// tokens is a number of tokens: 0 passes and means unset, although OpenAI's
// error speaks of 1 as the minimum.
func tokens() *schema {
	return &schema{kinds: isInteger, minInt: 0, maxInt: math.MaxInt64, shownMin: 1}
}

// array is an array of at least low and at most high items; 0 is no limit.
func array(item *schema, low, high int) *schema {
	return &schema{kinds: isArray, item: item, minItems: low, maxItems: high}
}

// object is an object whose required members are all there. Unknown members pass.
func object(required []string, known members) *schema {
	s := &schema{kinds: isObject, required: required, members: make(map[string]member, len(known))}
	for name, m := range known {
		s.members[name] = member{schema: m}
	}
	for i, name := range required {
		s.members[name] = member{schema: known[name], required: true, bit: 1 << i}
	}
	return s
}

// unless lets the last required member be missing if one of the names is there:
// they share its bit.
func (s *schema) unless(names ...string) *schema {
	bit := s.members[s.required[len(s.required)-1]].bit
	for _, name := range names {
		m := s.members[name]
		m.bit = bit
		s.members[name] = m
	}
	return s
}

// dictionary is an object whose members are all the same.
func dictionary(value *schema) *schema { return &schema{kinds: isObject, other: value} }

// anyObject is an object about which nothing is known.
func anyObject() *schema { return &schema{kinds: isObject} }

// variant is one form of a tagged object.
type variant struct {
	tag    string
	schema *schema
}

// tagged is an object of several forms, told apart by the member tag.
func tagged(tag string, forms ...variant) *schema {
	s := &schema{kinds: isObject, tag: tag, variants: make(map[string]*schema, len(forms))}
	for _, f := range forms {
		s.tags = append(s.tags, f.tag)
		s.variants[f.tag] = f.schema
	}
	return s
}

// or accepts what s or alternative accepts; they must differ in their JSON types.
func (s *schema) or(alternative *schema) *schema {
	c := *s
	c.kinds |= alternative.kinds
	if alternative.kinds&isArray != 0 {
		c.item, c.minItems, c.maxItems = alternative.item, alternative.minItems, alternative.maxItems
	}
	if alternative.kinds&isObject != 0 {
		c.members, c.required, c.other = alternative.members, alternative.required, alternative.other
		c.tag, c.tags, c.variants = alternative.tag, alternative.tags, alternative.variants
	}
	return &c
}

// orNull accepts null even where the member is required.
func (s *schema) orNull() *schema {
	c := *s
	c.kinds |= acceptsNull
	return &c
}

// allows reports whether a quoted string is a value of s' enum.
func (s *schema) allows(quoted []byte) bool {
	return s.enum == nil || slices.ContainsFunc(s.enum, func(v string) bool { return nameIs(quoted, v) })
}

// lookUp finds a known member by its quoted name.
func (s *schema) lookUp(quoted []byte) (member, bool) {
	m, ok := s.members[string(plainName(quoted))]
	return m, ok
}

// form returns the variant that the tag's value chooses, nil if there is none.
func (s *schema) form(tag []byte) *schema {
	if len(tag) < 2 || tag[0] != '"' {
		return nil
	}
	return s.variants[string(plainName(tag))]
}
