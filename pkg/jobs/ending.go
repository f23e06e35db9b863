package jobs

import "github.com/osiris/osiris/pkg/protocol"

// fail ends the stream with an error of this side and gives the job up.
func (s *Stream) fail(err *protocol.Error) {
	s.mu.Lock()
	if s.ended || s.closed {
		s.mu.Unlock()
		return
	}
	s.failLocked(err)
	s.mu.Unlock()
	s.cl.abandon(s)
}

// failLocked ends the stream with an error of this side.
func (s *Stream) failLocked(err *protocol.Error) {
	s.ended = true
	s.seq.closed = true
	data, merr := err.MarshalJSON()
	if merr != nil {
		data = nil // read as an internal error
	}
	s.gatherLocked(&frame{kind: Failed, attempt: s.seq.attempt, number: s.seq.next, data: data})
	s.wakeLocked()
}

func (s *Stream) wakeLocked() {
	if s.waiting {
		s.waiting = false
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Close ends the stream. An unfinished job is cancelled: taken out of the queue
// if it waits, stopped if it runs.
func (s *Stream) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	unfinished := !s.ended
	s.wakeLocked()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	if unfinished {
		s.cl.abandon(s)
	} else {
		s.cl.forget(s.job)
		s.cl.dropBody(s)
	}
}
