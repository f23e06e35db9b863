package protocol

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"
)

// ErrMalformed is in the chain of the error for a chunk or an answer that is not
// the JSON it should be.
var ErrMalformed = errors.New("malformed JSON")

// maxSpanDepth bounds the nesting of JSON that a model server may send; some SDKs
// cannot parse more.
const maxSpanDepth = 1000

// spanScanner walks one JSON text and hands out its values as raw spans. It
// checks the whole grammar of RFC 8259 on the way, so that a span it returned can
// be sent on as it is. A fault is sticky: it moves the position to the end, every
// loop over members or elements then ends by itself, and failed stays true.
//
// It does not check UTF-8 and takes no offence at line breaks between tokens:
// cleanJSON does both beforehand.
type spanScanner struct {
	data   []byte
	pos    int
	nameAt int // where the last member's name began
	depth  int

	escaped bool // the last string has an escape sequence
	failed  bool
}

// cleanJSON returns data such that each span of it is UTF-8 and free of line
// breaks, as an event's single line needs it: bytes that are not UTF-8 become
// U+FFFD (as the event stream format asks), line breaks between tokens become
// spaces. Data that is clean already is returned as it is.
func cleanJSON(data []byte) []byte {
	if !utf8.Valid(data) {
		data = bytes.ToValidUTF8(data, []byte("\uFFFD"))
	}
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 {
		return data
	}
	out, quoted := bytes.Clone(data), false
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case (c == '\n' || c == '\r') && !quoted:
			out[i] = ' '
		}
	}
	return out
}

func (s *spanScanner) fail() {
	s.failed, s.pos = true, len(s.data)
}

// peek skips white space and returns the byte there, 0 at the end.
func (s *spanScanner) peek() byte {
	if s.pos < len(s.data) {
		if c := s.data[s.pos]; c > ' ' {
			return c
		}
	}
	return s.skipSpace()
}

func (s *spanScanner) skipSpace() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// end reports whether everything was valid and nothing follows.
func (s *spanScanner) end() bool {
	return s.peek() == 0 && s.pos == len(s.data) && !s.failed
}

// enter steps into an object ('{') or an array ('[').
func (s *spanScanner) enter(open byte) {
	if s.peek() != open || s.depth == maxSpanDepth {
		s.fail()
		return
	}
	s.pos++
	s.depth++
}

// more steps to the next element of the container that was entered, or out of
// it, which it reports as false.
func (s *spanScanner) more(first bool, closing byte) bool {
	switch c := s.peek(); {
	case c == closing && c != 0:
		s.pos++
		s.depth--
		return false
	case first && c != 0:
		return true
	case c == ',':
		s.pos++
		if s.peek() != closing {
			return true
		}
	}
	s.fail()
	return false
}

// member steps to the value of the next member of the object that was entered
// and returns the member's name; false at the end of the object.
func (s *spanScanner) member(first bool) (name []byte, ok bool) {
	if !s.more(first, '}') {
		return nil, false
	}
	s.nameAt = s.pos
	raw := s.text()
	if s.peek() != ':' {
		s.fail()
		return nil, false
	}
	s.pos++
	if s.failed || len(raw) < 2 {
		return nil, false
	}
	if s.escaped {
		return unquoted(raw), true
	}
	return raw[1 : len(raw)-1], true
}

// members steps into an object and from value to value; whoever ranges over the names
// steps over each value.
func (s *spanScanner) members(yield func(name []byte) bool) {
	s.enter('{')
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok || !yield(name) {
			return
		}
	}
}

// value steps over any value and returns its span.
func (s *spanScanner) value() []byte {
	switch c := s.peek(); c {
	case '"':
		return s.text()
	case '{', '[':
		return s.container(c)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *spanScanner) container(open byte) []byte {
	start := s.pos
	s.enter(open)
	if open == '{' {
		for first := true; s.more(first, '}'); first = false {
			s.text()
			if s.peek() != ':' {
				s.fail()
				break
			}
			s.pos++
			s.value()
		}
	} else {
		for first := true; s.more(first, ']'); first = false {
			s.value()
		}
	}
	return s.data[start:s.pos]
}

func (s *spanScanner) word(w string) []byte {
	start := s.pos
	if len(s.data)-start < len(w) || string(s.data[start:start+len(w)]) != w {
		s.fail()
		return nil
	}
	s.pos += len(w)
	return s.data[start:s.pos]
}

// number follows the grammar of RFC 8259, section 6.
func (s *spanScanner) number() []byte {
	start := s.pos
	if s.at('-') {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else if !s.digits() {
		return nil
	}
	if s.at('.') {
		s.pos++
		if !s.digits() {
			return nil
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if !s.digits() {
			return nil
		}
	}
	return s.data[start:s.pos]
}

func (s *spanScanner) at(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }

func (s *spanScanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos]-'0' < 10 {
		s.pos++
	}
	if s.pos == start {
		s.fail()
	}
	return s.pos > start
}

// text steps over a string and returns it with its quotes.
func (s *spanScanner) text() []byte {
	if s.peek() != '"' {
		s.fail()
		return nil
	}
	start, i, data := s.pos, s.pos+1, s.data
	s.escaped = false
	for {
		i = stringStop(data, i)
		if i == len(data) || data[i] < ' ' {
			s.fail()
			return nil
		}
		if data[i] == '"' {
			s.pos = i + 1
			return data[start:s.pos]
		}
		n := escapeLength(data[i:])
		if n == 0 {
			s.fail()
			return nil
		}
		s.escaped = true
		i += n
	}
}

// spanInt reads the span of a JSON number as an int.
func spanInt(raw []byte) (int, bool) {
	n, err := strconv.Atoi(string(raw))
	return n, err == nil
}
