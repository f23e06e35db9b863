package protocol

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Member is a change to one member of a JSON object. An empty Value deletes it.
type Member struct {
	Name  string
	Value []byte // JSON text, put in as it is
}

// EditObject appends object, a JSON object that is valid, to dst with its
// top-level members changed by edits, and returns the extended buffer. A member
// that is there keeps its place and gets the new value; one that is missing is
// appended in the order of edits. All other bytes stay as they are, white space
// and escapes included; a deleted member goes with the white space around it.
//
// Names are compared as what they mean, so "mo\u0064el" is model. Should object
// hold a name twice, an edit leaves it once or not at all; of two edits of one
// name the last counts. dst must not overlap object. It is an error if object
// is not an object or visibly malformed; dst is then returned as it was.
func EditObject(dst, object []byte, edits ...Member) ([]byte, error) {
	s, base := scanObject{text: object}, len(dst)
	out := append(dst, object[:min(len(object), scanBlank(object, 0)+1)]...)
	done := make([]bool, len(edits))
	first := true
	var m scanMember
	for {
		err := s.next(&m)
		if err == io.EOF {
			break
		}
		if err != nil {
			return dst[:base], fmt.Errorf("edit object: %w", err)
		}
		edit := lastEdit(edits, m.name)
		if edit >= 0 && (done[edit] || len(edits[edit].Value) == 0) {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		if edit < 0 {
			out = append(out, object[m.start:m.end]...)
			continue
		}
		done[edit] = true
		out = append(out, object[m.start:m.valueStart]...)
		out = append(out, edits[edit].Value...)
		out = append(out, object[m.valueEnd:m.end]...)
	}
	if scanBlank(object, s.pos) != len(object) {
		return dst[:base], errors.New("edit object: data after the object")
	}
	out, err := appendMissing(out, edits, done, first)
	if err != nil {
		return dst[:base], err
	}
	return append(out, object[s.pos-1:]...), nil
}

// appendMissing appends the edits that met no member.
func appendMissing(out []byte, edits []Member, done []bool, first bool) ([]byte, error) {
	for i, e := range edits {
		if done[i] || len(e.Value) == 0 || overruled(edits, i) {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		var err error
		if out, err = jsontext.AppendQuote(out, e.Name); err != nil {
			return nil, fmt.Errorf("edit object: name of member %d: %w", i, err)
		}
		out = append(out, ':')
		out = append(out, e.Value...)
	}
	return out, nil
}

// lastEdit returns the index of the last edit of the quoted name, or -1.
func lastEdit(edits []Member, quoted []byte) int {
	for i, edit := range slices.Backward(edits) {
		if nameIs(quoted, edit.Name) {
			return i
		}
	}
	return -1
}

// overruled reports whether a later edit has the name of edit i.
func overruled(edits []Member, i int) bool {
	for _, later := range edits[i+1:] {
		if later.Name == edits[i].Name {
			return true
		}
	}
	return false
}
