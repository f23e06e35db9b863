package echo

import (
	"unicode"
	"unicode/utf8"
)

// maxWord is the longest word, in characters, that is one token.
const maxWord = 16

// nextToken returns the length in bytes of the first token of s, which is not empty.
func nextToken(s string) int {
	i := 0
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !unicode.IsSpace(r) {
			break
		}
		i += size
	}
	if i == len(s) {
		return i
	}
	first, size := utf8.DecodeRuneInString(s[i:])
	i += size
	kind := kindOf(first)
	for n := 1; i < len(s); n++ {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !joins(r) && (kind == ideograph || kindOf(r) != kind || n >= maxWord) {
			break
		}
		i += size
	}
	return i
}

type runeKind int

const (
	punctuation runeKind = iota
	word
	ideograph
	space
)

func kindOf(r rune) runeKind {
	switch {
	case unicode.IsSpace(r):
		return space
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai):
		return ideograph
	case unicode.IsLetter(r) || unicode.IsDigit(r):
		return word
	default:
		return punctuation
	}
}

// joins reports whether r belongs to the character before it.
func joins(r rune) bool { return unicode.Is(unicode.M, r) || r == '\u200d' }

// countTokens is the number of tokens of s.
func countTokens(s string) int {
	count := 0
	for s != "" {
		s = s[nextToken(s):]
		count++
	}
	return count
}
