package jobs

// verdict says what to do with a frame.
type verdict uint8

const (
	accept  verdict = iota // the next one: take it
	ignore                 // seen before, or of an attempt that was given up
	gap                    // something before it is missing: ask for it
	restart                // first frame of a newer attempt: forget the older one, then take it
)

// sequence decides which frames of a job's attempts a reader takes.
//
// Invariant: frames are accepted in the order of their numbers, each once, and
// never from an attempt older than one that was seen (TestSequence).
type sequence struct {
	attempt uint32 // newest seen
	next    uint32 // number expected
	closed  bool   // a final frame was accepted
}

// offer judges a frame by its attempt, number and kind, and whether it is the last. A
// heartbeat has no number of its own: it carries that of the event before it.
func (s *sequence) offer(attempt, number uint32, kind EventKind, last bool) verdict {
	if s.closed || attempt < s.attempt {
		return ignore
	}
	if attempt > s.attempt {
		if kind != heartbeat && number == 1 {
			*s = sequence{attempt: attempt, next: 2, closed: last}
			return restart
		}
		return gap // its beginning is missing; the older attempt stays until that has come
	}
	if kind == heartbeat {
		if number >= s.next {
			return gap
		}
		return ignore
	}
	switch {
	case number < s.next:
		return ignore
	case number > s.next:
		return gap
	}
	s.next++
	s.closed = last
	return accept
}

// missing is the first number to ask for when offer said gap for this attempt.
func (s *sequence) missing(attempt uint32) uint32 {
	if attempt > s.attempt {
		return 1
	}
	return s.next
}
