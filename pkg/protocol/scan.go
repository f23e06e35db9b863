package protocol

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// The scanner below finds members of JSON objects that were validated before (or
// that something else validates as well). It looks at no more than it must: the
// inside of a string is passed at the speed of memory, and numbers and literals
// are not examined. On malformed text it stops with an error or with a wrong
// answer, but never outside of the text.

var errMalformed = errors.New("malformed JSON object")

// scanObject walks the members of one JSON object.
type scanObject struct {
	text  []byte
	pos   int  // just after '{' or ',', or at the end after '}'
	begun bool // '{' was passed
}

// scanMember is one member; start and end include the blanks around it, so that
// text[start:end] lies between the delimiters.
type scanMember struct {
	start, end           int
	name                 []byte // with its quotes
	valueStart, valueEnd int
}

// next returns the next member, io.EOF after the last (pos is then behind the
// closing brace), or errMalformed.
func (s *scanObject) next(m *scanMember) error {
	if !s.begun {
		s.begun = true
		s.pos = scanBlank(s.text, 0)
		if !s.at(s.pos, '{') {
			return errMalformed
		}
		s.pos++
		if i := scanBlank(s.text, s.pos); s.at(i, '}') {
			s.pos = i + 1
			return io.EOF
		}
	} else if s.text[s.pos-1] == '}' {
		return io.EOF
	}
	m.start = s.pos
	i := scanBlank(s.text, s.pos)
	end := scanString(s.text, i)
	if end < 0 {
		return errMalformed
	}
	m.name = s.text[i:end]
	if i = scanBlank(s.text, end); !s.at(i, ':') {
		return errMalformed
	}
	m.valueStart = scanBlank(s.text, i+1)
	if m.valueEnd = scanValue(s.text, m.valueStart); m.valueEnd < 0 {
		return errMalformed
	}
	m.end = scanBlank(s.text, m.valueEnd)
	if !s.at(m.end, ',') && !s.at(m.end, '}') {
		return errMalformed
	}
	s.pos = m.end + 1
	return nil
}

// value returns m's value as it stands in the text.
func (s *scanObject) value(m *scanMember) []byte { return s.text[m.valueStart:m.valueEnd] }

func (s *scanObject) at(i int, c byte) bool { return i < len(s.text) && s.text[i] == c }

// findMember returns the value of object's first member of this name, or nil.
func findMember(object []byte, name string) []byte {
	s := scanObject{text: object}
	var m scanMember
	for s.next(&m) == nil {
		if nameIs(m.name, name) {
			return s.value(&m)
		}
	}
	return nil
}

// nameIs compares a quoted member name, escapes and all, with a plain one.
func nameIs(quoted []byte, name string) bool {
	return string(plainName(quoted)) == name
}

// plainName returns what a quoted name says, without copying it where it can.
func plainName(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	plain, _ := jsontext.AppendUnquote(nil, quoted)
	return plain
}

// unquote returns what a JSON string says. ok is false if raw is not a valid one.
func unquote(raw []byte) (s string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	plain, err := jsontext.AppendUnquote(nil, raw)
	return string(plain), err == nil
}

// scanBlank returns the first index from i on that is not JSON white space.
func scanBlank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// scanString returns the index behind the string that begins at i, or -1.
func scanString(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	for i++; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		end := i + n
		escapes := end
		for escapes > i && b[escapes-1] == '\\' {
			escapes--
		}
		i = end + 1
		if (end-escapes)%2 == 0 {
			return i
		}
	}
}

// scanValue returns the index behind the value that begins at i, or -1.
func scanValue(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			if i = scanString(b, i); i < 0 {
				return -1
			}
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return -1
			}
			i++
		case ',', ':', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return -1
			}
			i++
			continue
		default:
			i = scanBare(b, i)
		}
		if depth == 0 {
			return i
		}
	}
	return -1
}

// scanBare returns the index behind the number or literal that i is in.
func scanBare(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ',', ':', '}', ']', '{', '[', '"', ' ', '\n', '\r', '\t':
			return i
		}
		i++
	}
	return i
}
