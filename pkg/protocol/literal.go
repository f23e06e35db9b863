package protocol

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/go-json-experiment/json/jsontext"
)

// stringStop returns where the first quote, backslash or control character is at
// or after i, len(data) if there is none. It looks at eight bytes at a time: in
// (x - 0x01…) &^ x & 0x80… the lowest bit set marks the first byte of x that is
// zero, and the same with 0x20 the first that is a control character.
func stringStop(data []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(data); i += 8 {
		w := binary.LittleEndian.Uint64(data[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		stops := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w) & highs
		if stops != 0 {
			return i + bits.TrailingZeros64(stops)/8
		}
	}
	for ; i < len(data); i++ {
		if c := data[i]; c == '"' || c == '\\' || c < ' ' {
			break
		}
	}
	return i
}

// escapeLength returns the length of the escape sequence that b begins with, 0 if
// it is none. Half a surrogate pair passes: two chunks may carry a half each.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) >= 6 && isHex(b[2]) && isHex(b[3]) && isHex(b[4]) && isHex(b[5]) {
			return 6
		}
	}
	return 0
}

func isHex(c byte) bool { return c-'0' < 10 || (c|0x20)-'a' < 6 }

// unquoted returns the text of a string literal: a span of it where nothing is
// escaped, else a copy.
func unquoted(raw []byte) []byte {
	if len(raw) < 2 {
		return nil
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil && text == nil { // half a surrogate pair has become U+FFFD, which is as good
		return raw[1 : len(raw)-1]
	}
	return text
}

// appendLiteral appends text as a JSON string literal.
func appendLiteral(dst []byte, text string) []byte {
	// The only error is invalid UTF-8, which AppendQuote has replaced by then.
	dst, _ = jsontext.AppendQuote(dst, text)
	return dst
}
