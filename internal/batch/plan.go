package batch

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/osiris/osiris/pkg/protocol"
)

// plan says where the requests of an input are: some 20 bytes for each and its
// custom_id, so that a batch of 50,000 takes a megabyte or two, whatever its size.
// It is not stored: reading the input again makes the same one.
type plan struct {
	at  []place // by number
	ids []byte  // custom_ids, JSON strings, one behind the other
}

// place is where one request is in the file.
type place struct {
	offset int64
	length int32 // of its line
	number int32 // of its line, from 1
	id     int32 // where its custom_id ends in plan.ids; it begins where the one before ends
	store  bool  // its answer is to be kept as a completion
}

// longestKeptID is how long a custom_id is kept in memory; longer ones are read from
// the input again when they are needed.
const longestKeptID = 256

func (p *plan) add(l protocol.BatchLine) {
	if len(l.CustomID) <= longestKeptID {
		p.ids = append(p.ids, l.CustomID...)
	}
	p.at = append(p.at, place{offset: l.Offset, length: int32(l.Length), number: int32(l.Number), id: int32(len(p.ids)), store: l.Store})
}

func (p *plan) len() int { return len(p.at) }

// number returns the line number of request i.
func (p *plan) number(i int) int { return int(p.at[i].number) }

// name returns the name of request i's result.
func (p *plan) name(i int) string { return strconv.Itoa(p.number(i)) }

// find returns the request that a line number belongs to.
func (p *plan) find(number int) (i int, ok bool) {
	return slices.BinarySearchFunc(p.at, number, func(at place, n int) int { return cmp.Compare(int(at.number), n) })
}

// line reads request i from the input.
func (p *plan) line(input io.ReaderAt, i int) (protocol.BatchLine, error) {
	text := make([]byte, p.at[i].length)
	if _, err := input.ReadAt(text, p.at[i].offset); err != nil && err != io.EOF {
		return protocol.BatchLine{}, fmt.Errorf("read line %d: %w", p.number(i), err)
	}
	l, fault := protocol.ParseBatchLine(text, protocol.ChatEndpoint)
	if fault != nil { // it was good when the batch began
		return protocol.BatchLine{}, fmt.Errorf("read line %d: %w: %s", p.number(i), errChanged, fault.Code)
	}
	return l, nil
}

// customID returns the custom_id of request i, a JSON string.
func (p *plan) customID(input io.ReaderAt, i int) ([]byte, error) {
	begin := int32(0)
	if i > 0 {
		begin = p.at[i-1].id
	}
	if begin < p.at[i].id {
		return p.ids[begin:p.at[i].id], nil
	}
	l, err := p.line(input, i)
	return l.CustomID, err
}
