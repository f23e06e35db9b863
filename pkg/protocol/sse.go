package protocol

import (
	"bytes"
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
	ID    []byte // the id field; empty if there was none; valid as Data is
	Error bool   // data came in a field named error, as old llama.cpp sends it
}

const (
	firstBuffer = 1 << 10   // of a Decoder; it grows up to its limit
	busyBuffer  = 4 << 10   // of one whose reader has more than fits
	keptBuffer  = 256 << 10 // what a Decoder keeps after a long event
	mostNames   = 16        // event names a Decoder remembers, so as not to allocate them again
)

// Decoder reads server-sent events as the WHATWG standard has it (HTML, section
// 9.2.6): lines end in CR, LF or CRLF, comments and unknown fields are ignored,
// data over several lines is joined by LF, an event without data is none. Beyond
// the standard, it delivers a last event that no blank line ended, and takes the
// field error for data. How the reader cuts the bytes makes no difference.
//
// It is not safe for concurrent use.
type Decoder struct {
	r   io.Reader
	max int
	err error // why there is no more to read

	// buf[start:end] is what was read and not yet delivered: the event under way
	// from its first line on. Invariant: start <= line <= seen <= end.
	buf        []byte
	start, end int
	filled     bool // the last read left no room
	line       int  // where the line under way begins
	seen       int  // up to here the line under way has no line end
	swallow    bool // the last line ended in CR: a LF that comes next belongs to it
	begun      bool // the byte order mark, if there was one, is gone

	names []string
	event pendingEvent
}

// pendingEvent is what the lines of an event said so far.
type pendingEvent struct {
	name    string
	isError bool
	lines   int // of data
	from    int // the first data line is buf[start+from : start+to]
	to      int
	joined  []byte // all lines, once there are two
	id      []byte
}

// NewDecoder reads events from r. maxLine bounds an event, in bytes, and with it
// the Decoder's memory: a longer one ends the stream with ErrLineTooLong.
func NewDecoder(r io.Reader, maxLine int) *Decoder {
	return &Decoder{r: r, max: max(maxLine, 1), buf: make([]byte, min(firstBuffer, max(maxLine, 1)+4))}
}

// Next returns the next event. It blocks in the reader's Read. After the last
// event it returns io.EOF, or the error of the reader; an event that an error
// interrupted is not delivered. Errors repeat.
func (d *Decoder) Next() (Event, error) {
	if d.start == d.end && len(d.buf) > keptBuffer {
		d.buf, d.start, d.end, d.line, d.seen = make([]byte, firstBuffer), 0, 0, 0, 0
	}
	for {
		from, to, ok := d.nextLine()
		if !ok {
			if d.err == nil {
				d.fill()
				continue
			}
			return d.last()
		}
		if d.line-d.start > d.max {
			d.err = ErrLineTooLong
			d.line, d.end = d.start, d.start
			return Event{}, d.err
		}
		if to > from {
			d.field(from, to)
			if d.event.lines == 0 {
				d.start = d.line // nothing of it is needed
			}
			continue
		}
		ev := d.take()
		d.start = d.line
		if len(ev.Data) > 0 {
			return ev, nil
		}
	}
}

// last delivers what the stream's clean end left without a blank line.
func (d *Decoder) last() (Event, error) {
	if d.err == io.EOF && d.end-d.start > d.max {
		d.err = ErrLineTooLong
	}
	if d.err != io.EOF {
		return Event{}, d.err
	}
	if d.line < d.end {
		from := d.line
		d.line, d.seen = d.end, d.end
		d.field(from, d.end)
	}
	ev := d.take()
	d.start = d.end
	if len(ev.Data) == 0 {
		return Event{}, d.err
	}
	return ev, nil
}

// take ends the event under way.
func (d *Decoder) take() Event {
	e := &d.event
	ev := Event{Name: e.name, Error: e.isError, ID: e.id}
	switch e.lines {
	case 0:
	case 1:
		ev.Data = d.buf[d.start+e.from : d.start+e.to]
	default:
		ev.Data = e.joined
	}
	joined, id := e.joined[:0], e.id[:0]
	if cap(joined) > keptBuffer {
		joined = nil
	}
	if cap(id) > keptBuffer {
		id = nil
	}
	*e = pendingEvent{joined: joined, id: id}
	return ev
}

// nextLine steps over the next whole line in the buffer and returns where it is,
// without its end.
func (d *Decoder) nextLine() (from, to int, ok bool) {
	if d.swallow && d.line < d.end {
		if d.buf[d.line] == '\n' {
			d.line++
		}
		d.swallow = false
	}
	d.seen = max(d.seen, d.line)
	if !d.begun && !d.skipMark() {
		return 0, 0, false
	}
	rest := d.buf[d.seen:d.end]
	at := bytes.IndexByte(rest, '\n')
	if at >= 0 {
		rest = rest[:at]
	}
	if cr := bytes.IndexByte(rest, '\r'); cr >= 0 {
		at = cr
		d.swallow = true
	}
	if at < 0 {
		d.seen = d.end
		return 0, 0, false
	}
	from, to = d.line, d.seen+at
	d.line, d.seen = to+1, to+1
	return from, to, true
}

// skipMark steps over a byte order mark; false while that cannot be told.
func (d *Decoder) skipMark() bool {
	const mark = "\xef\xbb\xbf"
	head := d.buf[d.line:d.end]
	if len(head) < len(mark) && d.err == nil && string(head) == mark[:len(head)] {
		return false
	}
	if bytes.HasPrefix(head, []byte(mark)) {
		d.line += len(mark)
		d.start, d.seen = d.line, d.line
	}
	d.begun = true
	return true
}

// field takes in the line buf[from:to], which is not blank.
func (d *Decoder) field(from, to int) {
	name, value := d.buf[from:to], to
	if at := bytes.IndexByte(name, ':'); at >= 0 {
		name, value = name[:at], from+at+1
		if value < to && d.buf[value] == ' ' {
			value++
		}
	}
	switch string(name) {
	case "error":
		d.event.isError = true
		d.addData(value, to)
	case "data":
		d.addData(value, to)
	case "event":
		d.event.name = d.intern(d.buf[value:to])
	case "id":
		d.event.id = append(d.event.id[:0], d.buf[value:to]...)
	}
}

// addData takes in the data line buf[from:to]. A single line is never copied.
func (d *Decoder) addData(from, to int) {
	e := &d.event
	switch e.lines++; e.lines {
	case 1:
		e.from, e.to = from-d.start, to-d.start
		return
	case 2:
		e.joined = append(e.joined[:0], d.buf[d.start+e.from:d.start+e.to]...)
	}
	e.joined = append(append(e.joined, '\n'), d.buf[from:to]...)
}

// intern returns value as a string, without allocating for the names that a
// stream repeats.
func (d *Decoder) intern(value []byte) string {
	for _, n := range d.names {
		if n == string(value) {
			return n
		}
	}
	name := string(value)
	if len(d.names) < mostNames && len(name) <= 64 {
		d.names = append(d.names, name)
	}
	return name
}

// fill reads more, after making room: by moving the event under way to the
// front, or by a larger buffer.
func (d *Decoder) fill() {
	if d.start > 0 {
		copy(d.buf, d.buf[d.start:d.end])
		d.line, d.seen, d.end = d.line-d.start, d.seen-d.start, d.end-d.start
		d.start = 0
	}
	if d.begun && d.end > d.max {
		d.err = ErrLineTooLong
		return
	}
	switch {
	case d.end == len(d.buf):
		d.grow(2 * len(d.buf))
	case d.filled && len(d.buf) < busyBuffer:
		d.grow(busyBuffer)
	}
	for range 100 {
		n, err := d.r.Read(d.buf[d.end:])
		d.end += n
		d.filled = d.end == len(d.buf)
		if d.err = err; n > 0 || err != nil {
			return
		}
	}
	d.err = io.ErrNoProgress
}

func (d *Decoder) grow(size int) {
	grown := make([]byte, min(size, d.max+4))
	copy(grown, d.buf[:d.end])
	d.buf = grown
}

// AppendEvent appends data as one event: one line, or one for each line of data.
func AppendEvent(dst, data []byte) []byte {
	for {
		dst = append(dst, "data: "...)
		at := bytes.IndexAny(data, "\r\n")
		if at < 0 {
			dst = append(dst, data...)
			return append(dst, "\n\n"...)
		}
		dst = append(append(dst, data[:at]...), '\n')
		if data[at] == '\r' && at+1 < len(data) && data[at+1] == '\n' {
			at++
		}
		data = data[at+1:]
	}
}
