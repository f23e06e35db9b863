package protocol

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// fault records the first fault of the area that is being read.
func (v *validator) fault(describe func(path string) *Error) {
	if v.faults[v.area] == nil {
		v.faults[v.area] = describe(v.path())
	}
}

func (v *validator) checkString(s *schema, quoted []byte) {
	switch {
	case !s.allows(quoted):
		v.fault(func(path string) *Error { return faultValue(path, quoted, s.enum) })
	case s.maxLength > 0 && longer(quoted, s.maxLength):
		v.fault(func(path string) *Error { return faultLength(path, s.maxLength, characters(quoted)) })
	case s.identifier && !isIdentifier(quoted):
		v.fault(faultPattern)
	}
}

func (v *validator) checkNumber(s *schema, number []byte) {
	if s.kinds&isInteger != 0 {
		v.checkInteger(s, number)
		return
	}
	f, _ := strconv.ParseFloat(string(number), 64) // out of range is an infinity
	if f < s.low {
		v.fault(func(path string) *Error { return faultBelow(path, "decimal", formatFloat(s.low), number) })
	} else if f > s.high {
		v.fault(func(path string) *Error { return faultAbove(path, "decimal", formatFloat(s.high), number) })
	}
}

func (v *validator) checkInteger(s *schema, number []byte) {
	n, ok := integerValue(number)
	if !ok {
		f, _ := strconv.ParseFloat(string(number), 64)
		if f != math.Trunc(f) {
			v.fault(func(path string) *Error { return faultType(path, s, '0', number) })
			return
		}
		n = math.MaxInt64 // an integer beyond 64 bits
		if f < 0 {
			n = math.MinInt64
		}
	}
	if n < s.minInt || !ok && n < 0 {
		v.fault(func(path string) *Error {
			return faultBelow(path, "integer", strconv.FormatInt(s.shownMin, 10), number)
		})
	} else if n > s.maxInt || !ok {
		v.fault(func(path string) *Error {
			return faultAbove(path, "integer", strconv.FormatInt(s.maxInt, 10), number)
		})
	}
}

// checkName checks the length of a member's name, which was just read.
func (v *validator) checkName(s *schema, quoted []byte) {
	if longer(quoted, s.maxName) {
		v.fault(func(path string) *Error { return faultName(path, quoted, s.maxName) })
	}
}

// checkMembers checks which and how many members an object had, after its end.
func (v *validator) checkMembers(s *schema, met uint64, count int) {
	if s.maxMembers > 0 && count > s.maxMembers {
		v.fault(func(path string) *Error { return faultMembers(path, s.maxMembers, count) })
	}
	for _, name := range s.required {
		if met&s.members[name].bit == 0 {
			v.fault(func(path string) *Error { return faultMissing(join(path, name)) })
			return
		}
	}
}

// path names the value that was read last, as in messages[1].content.
func (v *validator) path() string { return v.pathOf(v.dec.StackPointer()) }

// pathOf writes a pointer into the containers that are being read as a path.
func (v *validator) pathOf(pointer jsontext.Pointer) string {
	path := ""
	level := 0
	for token := range pointer.Tokens() {
		level++
		if kind, _ := v.dec.StackIndex(min(level, v.dec.StackDepth())); kind == '[' {
			path += "[" + token + "]"
		} else {
			path = join(path, shorten(token))
		}
		if len(path) > 1024 {
			return path + "…"
		}
	}
	return path
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// longer reports whether a quoted string has more than limit characters.
func longer(quoted []byte, limit int) bool {
	return len(quoted)-2 > limit && characters(quoted) > limit
}

// characters counts those of a quoted string, escapes resolved.
func characters(quoted []byte) int {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return utf8.RuneCount(quoted) - 2
	}
	plain, _ := unquote(quoted)
	return utf8.RuneCountInString(plain)
}

func isIdentifier(quoted []byte) bool {
	s, _ := unquote(quoted)
	return s != "" && strings.IndexFunc(s, notIdentifier) < 0
}

func notIdentifier(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
}

func formatFloat(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
