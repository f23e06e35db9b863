package protocol

import "slices"

// joinedText is a string that comes in pieces, kept as a JSON literal without the
// closing quote. The pieces are never decoded: escapes stay as they came.
type joinedText struct {
	text []byte // begins with a quote; nil until a string came
	null bool   // null came
}

// add joins a piece: a JSON string or null; nil says nothing.
func (j *joinedText) add(literal []byte) {
	if len(literal) < 2 || literal[0] != '"' {
		j.null = j.null || literal != nil
		return
	}
	if j.text == nil {
		j.text = append(j.text, '"')
	}
	j.text = append(j.text, literal[1:len(literal)-1]...)
}

// literal returns the string so far; null if only that came, nil if nothing did.
func (j *joinedText) literal() []byte {
	switch {
	case j.text != nil:
		return append(slices.Clip(j.text), '"')
	case j.null:
		return []byte("null")
	}
	return nil
}

// foldedMembers are unknown members of many chunks. The zero value is empty.
type foldedMembers struct {
	order  []*foldedMember
	byName map[string]*foldedMember
}

// foldedMember is one of them. Reasoning is text that comes in pieces, whatever
// else is said as a whole.
type foldedMember struct {
	name   string
	raw    []byte // name, colon and value
	joined joinedText
	joins  bool
}

// add folds in members, written as Chunk.Extra.
func (f *foldedMembers) add(text []byte) {
	if len(text) == 0 {
		return
	}
	var space [8]extraMember
	for _, m := range membersOf(space[:0], text) {
		value := m.value()
		known := f.byName[string(m.name)]
		if known == nil {
			known = f.begin(string(m.name))
		}
		if known.joins && (value[0] == '"' || value[0] == 'n') {
			known.joined.add(value)
			continue
		}
		if known.raw == nil || string(value) != "null" {
			known.raw = append(known.raw[:0], m.text...)
		}
	}
}

func (f *foldedMembers) begin(name string) *foldedMember {
	if f.byName == nil {
		f.byName = make(map[string]*foldedMember)
	}
	m := &foldedMember{name: name, joins: name == "reasoning_content" || name == "reasoning"}
	f.byName[name] = m
	f.order = append(f.order, m)
	return m
}

// text returns the members, written as Chunk.Extra.
func (f *foldedMembers) text() []byte {
	var dst []byte
	for _, m := range f.order {
		if len(dst) > 0 {
			dst = append(dst, ',')
		}
		if joined := m.joined.literal(); joined != nil && m.raw == nil {
			dst = append(append(appendLiteral(dst, m.name), ':'), joined...)
		} else {
			dst = append(dst, m.raw...)
		}
	}
	return dst
}

// appendElements appends the elements of a JSON array to those of others; dst
// stays nil for null.
func appendElements(dst, array []byte) []byte {
	if len(array) < 2 || array[0] != '[' {
		return dst
	}
	s := spanScanner{data: array}
	s.enter('[')
	if dst == nil {
		dst = []byte{}
	}
	for first := true; s.more(first, ']'); first = false {
		if len(dst) > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, s.value()...)
	}
	return dst
}

// appendList appends a JSON array of elements, null for nil.
func appendList(dst, elements []byte) []byte {
	if elements == nil {
		return append(dst, "null"...)
	}
	return append(append(append(dst, '['), elements...), ']')
}
