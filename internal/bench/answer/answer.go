// Package answer is the text that a simulated model says, as a function of the request,
// so that whoever asked can tell every byte of it.
//
// A prompt carries a mark, such as "[bench 9f86d081884c7d65 64x9]": an id, how many
// pieces the answer has, and how many bytes each. Every piece depends on the id and on
// its own place. An answer that went to the wrong request is noticed, and so is a piece
// that was lost, repeated, moved, or taken from another stream.
package answer

import (
	"bytes"
	"strconv"
)

// Limits of what a mark may ask for.
const (
	MaxPieces = 1_000_000
	MaxSize   = 64 << 10
	maxText   = 64 << 20
)

// DefaultSize is the bytes of a piece when nobody says otherwise.
const DefaultSize = 9

const (
	open    = "[bench "
	idBytes = 16
	digits  = "0123456789abcdef"
)

// Spec says what an answer is.
type Spec struct {
	ID     uint64
	Pieces int // from 1 to MaxPieces
	Size   int // bytes of each piece, from 1 to MaxSize
}

// Valid reports whether the limits are kept.
func (s Spec) Valid() bool {
	return s.Pieces >= 1 && s.Pieces <= MaxPieces && s.Size >= 1 && s.Size <= MaxSize && s.Pieces*s.Size <= maxText
}

// AppendMark appends the mark of s, which needs no escaping in JSON.
func (s Spec) AppendMark(b []byte) []byte {
	b = append(b, open...)
	b = append(b, "0000000000000000 "...)
	PutID(b[len(b)-idBytes-1:], s.ID)
	b = strconv.AppendInt(b, int64(s.Pieces), 10)
	b = append(b, 'x')
	b = strconv.AppendInt(b, int64(s.Size), 10)
	return append(b, ']')
}

// IDAt returns where in b, which holds a mark, its id is written; -1 without a mark.
func IDAt(b []byte) int {
	i := bytes.Index(b, []byte(open))
	if i < 0 || len(b) < i+len(open)+idBytes {
		return -1
	}
	return i + len(open)
}

// PutID writes id to the beginning of b, over the one that is there.
func PutID(b []byte, id uint64) {
	_ = b[idBytes-1]
	for i := idBytes - 1; i >= 0; i-- {
		b[i] = digits[id&15]
		id >>= 4
	}
}

// Find returns what the first mark in b says; false if there is none that is valid.
func Find(b []byte) (Spec, bool) {
	at := IDAt(b)
	if at < 0 {
		return Spec{}, false
	}
	id, err := strconv.ParseUint(string(b[at:at+idBytes]), 16, 64)
	if err != nil {
		return Spec{}, false
	}
	rest := b[at+idBytes:]
	pieces, rest, ok := number(rest, ' ')
	if !ok {
		return Spec{}, false
	}
	size, rest, ok := number(rest, 'x')
	s := Spec{ID: id, Pieces: pieces, Size: size}
	return s, ok && len(rest) > 0 && rest[0] == ']' && s.Valid()
}

// number reads lead and the digits behind it, seven at most.
func number(b []byte, lead byte) (n int, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != lead {
		return 0, nil, false
	}
	b = b[1:]
	i := 0
	for ; i < len(b) && i < 7 && b[i] >= '0' && b[i] <= '9'; i++ {
		n = 10*n + int(b[i]-'0')
	}
	return n, b[i:], i > 0
}

// AppendPiece appends piece i, from 0: a blank, or in the first a dot, which nobody
// trims, and hexadecimal digits, which need no escaping.
func (s Spec) AppendPiece(b []byte, i int) []byte {
	if i == 0 {
		b = append(b, '.')
	} else {
		b = append(b, ' ')
	}
	left := s.Size - 1
	for word := uint64(0); left > 0; word++ {
		v := mix(s.ID, uint64(i)<<16|word)
		for n := min(left, 16); n > 0; n-- {
			b = append(b, digits[v&15])
			v >>= 4
			left--
		}
	}
	return b
}

// AppendText appends the whole answer.
func (s Spec) AppendText(b []byte) []byte {
	for i := range s.Pieces {
		b = s.AppendPiece(b, i)
	}
	return b
}

// mix is SplitMix64, begun at seed and moved n steps on: neighbours have nothing in common.
func mix(seed, n uint64) uint64 {
	z := seed + (n+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
