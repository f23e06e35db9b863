package protocol

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// Nearly every request is sound, and to see that takes a fraction of what it takes
// to say what is wrong with one: no path, no order of faults, no names of objects
// that are large. So a body is looked through by a soundness check first. It says
// yes only where the validator would find no fault, and no whenever it is in doubt;
// then the validator decides (FuzzSound).

const (
	soundNames = 64  // members of all open objects; more are doubtful
	soundDepth = 100 // levels; deeper ones are doubtful
)

// soundness is the state of one check.
type soundness struct {
	spanScanner
	names [soundNames][]byte // of the members of all open objects
	open  int                // how many those are
}

// sound reports whether body is what root says, beyond doubt.
func sound(body []byte, root *schema) bool {
	if !utf8.Valid(body) {
		return false
	}
	v := soundness{spanScanner: spanScanner{data: body}}
	return v.peek() == '{' && v.object(root) && v.end()
}

// of steps over a value and reports whether it is what s says.
func (v *soundness) of(s *schema, required bool) bool {
	c := v.peek()
	switch c {
	case 'n':
		return (s.kinds&acceptsNull != 0 || !required) && v.word("null") != nil
	case '"':
		return s.kinds&isString != 0 && v.quoted(s)
	case '{':
		return s.kinds&isObject != 0 && v.object(s)
	case '[':
		return s.kinds&isArray != 0 && v.array(s)
	case 't':
		return s.kinds&isBoolean != 0 && v.word("true") != nil
	case 'f':
		return s.kinds&isBoolean != 0 && v.word("false") != nil
	}
	number := v.number()
	switch {
	case v.failed:
		return false
	case s.kinds&isInteger != 0:
		n, ok := integerValue(number)
		return ok && n >= s.minInt && n <= s.maxInt
	case s.kinds&isDecimal != 0:
		f, err := strconv.ParseFloat(string(number), 64)
		return err == nil && f >= s.low && f <= s.high
	}
	return false
}

func (v *soundness) quoted(s *schema) bool {
	raw := v.plainText()
	return raw != nil && (!s.identifier || isIdentifier(raw)) && s.allows(raw) && (s.maxLength == 0 || len(raw)-2 <= s.maxLength)
}

// plainText steps over a string. It returns nil if that is malformed, or has an
// escape that may be half of a pair.
func (v *soundness) plainText() []byte {
	raw := v.text()
	if v.failed || v.escaped && (bytes.Contains(raw, []byte(`\ud`)) || bytes.Contains(raw, []byte(`\uD`))) {
		return nil
	}
	return raw
}

func (v *soundness) object(s *schema) bool {
	if s.tag != "" {
		if s = s.form(findMember(v.data[v.pos:], s.tag)); s == nil {
			return false
		}
	}
	open, met, count := v.open, uint64(0), 0
	v.enter('{')
	for first := true; ; first = false {
		name, ok := v.name(first, open)
		if !ok {
			break
		}
		count++
		m, known := s.members[string(name)]
		switch {
		case s.maxName > 0 && len(name) > s.maxName:
			return false
		case known:
			if m.required || v.peek() != 'n' {
				met |= m.bit
			}
			ok = v.of(m.schema, m.required)
		case s.other != nil:
			ok = v.of(s.other, true)
		default:
			ok = v.any()
		}
		if !ok {
			return false
		}
	}
	v.open = open
	all := uint64(1)<<len(s.required) - 1 // each has the bit of its place
	return !v.failed && met&all == all && (s.maxMembers == 0 || count <= s.maxMembers)
}

// name steps to the value of the next member of the object whose names begin at
// open; false at its end, and where a name is there again, or cannot be compared.
func (v *soundness) name(first bool, open int) ([]byte, bool) {
	name, ok := v.member(first)
	if !ok {
		return nil, false
	}
	if v.escaped || v.open == len(v.names) || v.depth > soundDepth {
		v.fail()
		return nil, false
	}
	for _, other := range v.names[open:v.open] {
		if string(other) == string(name) {
			v.fail()
			return nil, false
		}
	}
	v.names[v.open] = name
	v.open++
	return name, true
}

func (v *soundness) array(s *schema) bool {
	n := 0
	v.enter('[')
	for ; v.more(n == 0, ']'); n++ {
		if !v.of(s.item, true) {
			return false
		}
	}
	return !v.failed && n >= s.minItems && (s.maxItems == 0 || n <= s.maxItems)
}

// any steps over a value about which nothing is known.
func (v *soundness) any() bool {
	switch v.peek() {
	case '"':
		return v.plainText() != nil
	case '{':
		open := v.open
		v.enter('{')
		for first := true; ; first = false {
			if _, ok := v.name(first, open); !ok {
				break
			}
			if !v.any() {
				return false
			}
		}
		v.open = open
	case '[':
		v.enter('[')
		for first := true; v.depth <= soundDepth && v.more(first, ']'); first = false {
			if !v.any() {
				return false
			}
		}
		if v.depth > soundDepth {
			return false
		}
	default:
		v.value()
	}
	return !v.failed
}
