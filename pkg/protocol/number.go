package protocol

import (
	"bytes"
	"strconv"
)

// AppendNumbered appends events, whole ones as a StreamWriter writes them, with a
// line "id: N" in front of each one's data: the first gets the number next, every
// other one more than the one before. It returns the number after the last. events
// must not overlap dst.
func AppendNumbered(dst, events []byte, next uint64) ([]byte, uint64) {
	for len(events) > 0 {
		end := len(events)
		if at := bytes.Index(events, []byte(eventEnd)); at >= 0 {
			end = at + len(eventEnd)
		}
		dst = append(dst, "id: "...)
		dst = strconv.AppendUint(dst, next, 10)
		dst = append(dst, '\n')
		dst = append(dst, events[:end]...)
		events, next = events[end:], next+1
	}
	return dst, next
}

const eventEnd = "\n\n" // a blank line

// AppendAnswerEvents appends a whole completion as the numbered events that a
// stream of it consists of, from the one after number after on; those are the same
// at every call with the same arguments. Usage comes as in any stream, only if
// includeUsage. It returns the number of the last event, which may be below after.
// Folded they are the completion again, but for a usage that was not asked for.
//
// The error is always an *Error, as NormalizeAnswer's.
func AppendAnswerEvents(dst, answer []byte, env Envelope, includeUsage bool, after uint64) (events []byte, last uint64, err error) {
	chunks, err := SplitAnswer(answer)
	if err != nil {
		return dst, 0, err
	}
	w := NewStreamWriter(env, includeUsage)
	var plain []byte
	for i := range chunks {
		plain = w.Append(plain, &chunks[i])
	}
	if plain, err = w.AppendEnd(plain); err != nil {
		return dst, 0, err
	}
	next := uint64(1)
	for ; next <= after && len(plain) > 0; next++ {
		plain = plain[bytes.Index(plain, []byte(eventEnd))+len(eventEnd):]
	}
	dst, next = AppendNumbered(dst, plain, next)
	return dst, next - 1, nil
}
