package protocol

import (
	"bytes"
	"unicode/utf8"
)

// maxAlike bounds the chunks that later ones are compared with, in bytes.
const maxAlike = 4 << 10

// alike remembers a chunk whose only choice said a piece of text. Nearly all servers
// repeat everything else from chunk to chunk, and one that begins and ends as the
// chunk before need not be parsed: it is that chunk with another text.
type alike struct {
	data     []byte // the chunk that was parsed; what it says points in here
	from, to int    // its text is data[from:to], between quotes; to is 0 where there is none
}

// copy takes a chunk over before it is parsed and returns what to parse, so that
// its spans stay when the caller's buffer changes.
func (a *alike) copy(data []byte) []byte {
	a.to = 0
	if len(data) > maxAlike {
		return data
	}
	a.data = append(a.data[:0], data...)
	return a.data
}

// learn remembers c, just parsed from what copy returned, if its choice's text, which
// began at the position textAt, is all that may change.
func (a *alike) learn(c *Chunk, textAt int) {
	if len(c.Choices) != 1 || c.Usage != nil || textAt >= len(a.data) {
		return
	}
	text := c.Choices[0].Content
	if len(text) < 2 || &text[0] != &a.data[textAt] { // put together from parts, or not from the copy
		return
	}
	a.from, a.to = textAt+1, textAt+len(text)-1
}

// text returns the text of a chunk that is like the remembered one, with its quotes.
func (a *alike) text(data []byte) (quoted []byte, ok bool) {
	if a.to == 0 || len(data) < a.from || !bytes.Equal(data[:a.from], a.data[:a.from]) {
		return nil, false
	}
	s := spanScanner{data: data, pos: a.from - 1}
	quoted = s.text()
	if s.failed || !bytes.Equal(data[s.pos-1:], a.data[a.to:]) || !utf8.Valid(quoted) {
		return nil, false // not UTF-8: the parser mends it
	}
	return quoted, true
}
