package jobs

import "bytes"

// cursor decides which of the stored messages of a job a reader gets: the events
// from one on, in order, none twice, and of one attempt only.
//
// Invariant: what it gives is one contiguous suffix of one attempt's events, after
// the number that was asked for (TestCursor, TestCursorNeverSkips, TestFollow).
type cursor struct {
	next    uint64 // number of the event that the reader wants
	attempt uint32 // whose events it gets; 0: none was seen
	only    uint32 // the attempt whose result stands; 0: any
	least   uint32 // older attempts were given up before the reader came
	held    bool   // the reader has events: those of another attempt would not go on from them
	gave    bool   // some of them from here, of attempt
}

// newCursor begins after the event that the reader has; 0: it has none.
func newCursor(after uint64, only uint32) cursor {
	return cursor{next: after + 1, only: only, held: after > 0}
}

// offer is what becomes of a message that is shown to a cursor.
type offered uint8

const (
	passed offered = iota // nothing for the reader
	given                 // events
	missed                // something before it is missing
	void                  // the reader has events of an attempt that was given up
	ended                 // the attempt has ended and has a result
)

// offer judges a message and returns the events in it that are the reader's,
// numbered by the first. A message that comes live may have overtaken others; of
// the stored ones each is shown, so what is missing there is gone.
func (c *cursor) offer(m *replayMessage, live bool) (offered, Event) {
	if m.attempt < max(c.attempt, c.least) || c.only != 0 && m.attempt != c.only {
		return passed, Event{}
	}
	if m.attempt > c.attempt {
		if verdict := c.enter(m, live); verdict != passed {
			return verdict, Event{}
		}
	}
	switch {
	case m.kind == replayStarted, m.kind == replayGaveUp:
		return passed, Event{}
	case m.first > c.next:
		return missed, Event{}
	case m.kind != replayChunk:
		return ended, Event{}
	case m.next() <= c.next:
		return passed, Event{}
	}
	e := Event{Kind: Chunk, Attempt: m.attempt, Number: uint32(c.next), Data: skipEvents(m.data, c.next-m.first)}
	c.next, c.held, c.gave = m.next(), true, true
	return given, e
}

// enter begins with an attempt newer than the one before.
func (c *cursor) enter(m *replayMessage, live bool) offered {
	begins := m.kind == replayStarted
	switch {
	case c.gave, c.held && begins && m.first >= c.next: // the reader's events are an earlier attempt's
		return void
	case live && !begins:
		return missed
	case c.held && m.first > c.next, !c.held && !begins && m.first > 1:
		return missed
	case !c.held:
		c.next = m.first
	}
	c.attempt = m.attempt
	return passed
}

// skipEvents returns what follows the first n server-sent events of sse.
func skipEvents(sse []byte, n uint64) []byte {
	for ; n > 0; n-- {
		end := bytes.Index(sse, []byte("\n\n"))
		if end < 0 {
			return nil
		}
		sse = sse[end+2:]
	}
	return sse
}
