package jobs

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// The events of a kept job are stored in messages of their own, several events in
// each, so that anybody can read them again, from any event on, long after the
// attempt. They are in order: an attempt has one message under way at a time.
//
//	message  version, kind (1 byte each), attempt (4), first (8), count (4), data; little endian
//
// first numbers the first server-sent event in data; the bytes carry the numbers
// too, as SSE ids. They begin with 1, and in an attempt that follows another with a
// number beyond all that readers can have seen of that, stored or not: whoever has
// text of an attempt that was given up can tell.

const (
	replayVersion = 1
	replayHeader  = 18
)

// replayKind says what a stored message is. The values are stored: none may change.
type replayKind uint8

const (
	replayStarted replayKind = 1 // an attempt began; first is what its first event will have
	replayChunk   replayKind = 2 // server-sent events, as live readers got them
	replayDone    replayKind = 3 // the result is stored; first is one beyond the last event
	replayFailed  replayKind = 4 // the same; data is the error
	replayPart    replayKind = 5 // a beginning of the data of the next message, which is too large for one
	replayGaveUp  replayKind = 6 // the attempt ended without an event or a result: the next one begins with the same number
)

// replayMessage is one stored message.
type replayMessage struct {
	kind    replayKind
	attempt uint32
	first   uint64
	count   uint32 // server-sent events in data; of a part, its place among the parts, from 0
	data    []byte
}

// next is the number of the event after those of the message.
func (m *replayMessage) next() uint64 {
	if m.kind == replayPart {
		return m.first
	}
	return m.first + uint64(m.count)
}

func appendReplay(dst []byte, m *replayMessage) []byte {
	dst = append(dst, replayVersion, byte(m.kind))
	dst = binary.LittleEndian.AppendUint32(dst, m.attempt)
	dst = binary.LittleEndian.AppendUint64(dst, m.first)
	dst = binary.LittleEndian.AppendUint32(dst, m.count)
	return append(dst, m.data...)
}

var errBadReplay = errors.New("not a message of stored events")

// decodeReplay reads a message; its data is a part of b.
func decodeReplay(b []byte) (replayMessage, error) {
	if len(b) < replayHeader || b[0] != replayVersion {
		return replayMessage{}, errBadReplay
	}
	m := replayMessage{
		kind:    replayKind(b[1]),
		attempt: binary.LittleEndian.Uint32(b[2:]),
		first:   binary.LittleEndian.Uint64(b[6:]),
		count:   binary.LittleEndian.Uint32(b[14:]),
		data:    b[replayHeader:],
	}
	if m.first == 0 || m.next() < m.first {
		return replayMessage{}, errBadReplay
	}
	return m, nil
}

// assembly puts events together that are too large for one message.
type assembly struct {
	attempt uint32
	first   uint64
	parts   uint32 // gathered
	done    bool   // the message that they belong to has come
	data    []byte
}

// assembled is what became of a message that an assembly took.
type assembled uint8

const (
	complete   assembled = iota // the message is whole now
	incomplete                  // nothing yet: a part, or what came twice
	broken                      // the parts of the message are missing
)

// take completes m if it is the rest of something whose parts were taken before.
// Messages that come twice do no harm.
func (a *assembly) take(m *replayMessage) assembled {
	same := a.attempt == m.attempt && a.first == m.first && a.parts > 0
	switch m.kind {
	case replayPart:
		switch {
		case m.count == 0:
			*a = assembly{attempt: m.attempt, first: m.first, parts: 1, data: append([]byte(nil), m.data...)}
		case same && m.count == a.parts && len(a.data) <= maxEvent:
			a.parts++
			a.data = append(a.data, m.data...)
		case !same || m.count > a.parts:
			*a = assembly{}
		}
		return incomplete
	case replayChunk:
		switch {
		case same && a.done:
			return incomplete
		case same:
			m.data = append(a.data, m.data...)
			a.data, a.done = nil, true
		case !bytes.HasPrefix(m.data, []byte("id: ")):
			return broken
		}
	}
	return complete
}
