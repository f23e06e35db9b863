package echo

import (
	"iter"
	"strings"
)

// segment is a run of pieces of one kind. It holds its text once, however often that
// is said: tokens are cut when they are due.
type segment struct {
	kind  pieceKind
	index int    // of the tool call
	call  *call  // nil for other kinds
	text  string // said from its start again when it ends
	head  int    // bytes of the first token; 0: as the text has it
	want  int    // tokens to say; 0: those of the text, once

	count int // tokens that are said
	said  int // bytes of them
}

// next returns the token at the start of rest, and what follows it. Without a rest
// the text begins again.
func (s *segment) next(rest string) (token, after string) {
	n := s.head
	switch {
	case rest != "":
		n = nextToken(rest)
	default:
		if rest = s.text; n == 0 {
			n = nextToken(rest)
		}
	}
	return rest[:n], rest[n:]
}

// measure decides how much is said, of at most so many tokens and bytes. It reports
// whether more tokens were left.
func (s *segment) measure(tokens, size int) (more bool) {
	if s.text == "" {
		return false
	}
	for rest := ""; ; {
		if s.want == 0 && s.count > 0 && rest == "" || s.want > 0 && s.count == s.want {
			return false
		}
		token, after := s.next(rest)
		if s.count == tokens || s.said+len(token) > size {
			return true
		}
		s.count++
		s.said += len(token)
		rest = after
	}
}

// pieces are what the segment says.
func (s *segment) pieces(yield func(piece) bool) bool {
	p := piece{kind: s.kind, index: s.index, call: s.call}
	if s.kind == pieceCall {
		return yield(p)
	}
	rest := ""
	for range s.count {
		p.text, rest = s.next(rest)
		if !yield(p) {
			return false
		}
	}
	return true
}

// whole is all that the segment says.
func (s *segment) whole() string {
	if s.said <= len(s.text) {
		return s.text[:s.said]
	}
	var b strings.Builder
	b.Grow(s.said)
	for left := s.said; left > 0; left -= min(left, len(s.text)) {
		b.WriteString(s.text[:min(left, len(s.text))])
	}
	return b.String()
}

// pieces are what the script says, in order, made as they are taken.
func (s *script) pieces() iter.Seq[piece] {
	return func(yield func(piece) bool) {
		for i := range s.segments {
			if !s.segments[i].pieces(yield) {
				return
			}
		}
	}
}
