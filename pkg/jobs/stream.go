package jobs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// Errors of Stream.Next.
var (
	ErrSilent = errors.New("no event yet")
	ErrClosed = errors.New("stream closed")
)

// A worker holds what it emitted until that is acknowledged: after so many bytes, of
// which a stream that takes its time lets few add up.
const (
	ackEvery = 128 << 10
	ackSlow  = 3 << 9 // where the last was acknowledged ackPause ago
	ackPause = 100 * time.Millisecond
)

// Stream is the events of one job, as its submitter sees them: in order, each
// once, of one attempt after the other. An attempt that replaces an older one
// begins with Started again, and what the older one said is void; it comes only
// as long as a streaming client has seen nothing (rule 4).
//
// Next, Ready and Kind-specific readers belong to one goroutine; Close, Stored
// and ID may be called from any.
type Stream struct {
	cl      *Client
	job     ID
	class   Class
	pool    string
	subject string // the job's own
	replay  bool   // false: text handed out is final (a streaming client)
	kept    bool   // the job goes on without this stream
	keyed   bool   // and is kept for its idempotency key alone
	tenant  string // of a job that has a record
	born    time.Time

	// Owned by the reader.
	out  []byte    // events being read; never touched by the dispatcher
	base *gathered // what out is the rest of
	long []byte    // event put together from several frames
	part Event     // the newest of these
	wake chan struct{}
	eof  bool // the final event was handed out

	mu        sync.Mutex
	timer     *time.Timer // wakes the reader; nil before it waited
	fires     time.Time   // when the timer was last set to
	in        *gathered   // events accepted and not yet handed to the reader; nil for none
	seq       sequence
	hurry     bool // among in is what the reader is to be woken for
	waiting   bool // the reader is parked on wake
	dirty     bool // in the dispatcher's list of streams to wake
	closed    bool
	ended     bool   // a final event was accepted, or the stream failed
	forwarded bool   // a chunk or answer was handed to the reader
	stored    uint64 // sequence in the job stream; 0 until the ack came
	known     bool   // the job is known to be stored: ack or first event
	refused   bool   // the queue refused the job, or never confirmed it
	payload   []byte // message to publish again, until known
	published time.Time
	tries     int
	from      string    // control subject of the worker whose frames are taken
	control   string    // the same, or "" while no worker is known to run the job
	heard     time.Time // when the newest attempt last gave a sign of life
	looked    time.Time // when the job was last looked for in the queue
	absent    int       // how often it was not there
	ack       string    // acknowledges the newest delivery
	lost      int       // attempts lost with their workers
	asked     time.Time // when missing events were last asked for
	eaten     int       // bytes handed to the reader since the last ack
	taken     uint32    // the last number handed to the reader
	acked     bool      // the attempt's worker was told of one
	ackedAt   time.Time // when, or when the attempt's first frame came
	large     bool      // the body travels by reference, and goes with the job
	withdraw  func()    // removes the record of a kept job that was not stored; nil for none
	takeBack  func()    // removes all of one that may be stored; nil for none
}

// ID returns the job's id.
func (s *Stream) ID() ID { return s.job }

// Stored reports whether the job is known to be in the queue: its ack or an event
// came.
func (s *Stream) Stored() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known
}

// Next returns the next event. It waits at most wait, for each part of an event
// that comes in several, then returns ErrSilent; 0 does not wait. After Done or Failed it returns io.EOF, after Close ErrClosed.
// The event's data is valid until the next call; its memory goes to another stream
// then, or with the Stream if there is none.
func (s *Stream) Next(wait time.Duration) (Event, error) {
	for {
		if len(s.out) == 0 {
			if err := s.fill(wait); err != nil {
				return Event{}, err
			}
		}
		e, whole := s.take()
		if !whole {
			continue
		}
		s.eof = e.Kind.final()
		return e, nil
	}
}

// Ready reports whether Next has an event, or part of one, without waiting.
func (s *Stream) Ready() bool {
	if len(s.out) > 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in != nil
}

// fill gives the reader's empty buffer back and takes what the dispatcher has
// gathered, waiting for the first event if there is none.
func (s *Stream) fill(wait time.Duration) error {
	s.cl.gatherings.give(s.base)
	s.base = nil
	s.mu.Lock()
	if err := s.awaitLocked(wait); err != nil {
		s.mu.Unlock()
		return err
	}
	s.base, s.out, s.in = s.in, s.in.events, nil
	s.hurry = false
	s.forwarded = s.forwarded || holdsText(s.out)
	ack, control := s.consumedLocked(len(s.out))
	s.mu.Unlock()
	if ack.number != 0 {
		s.cl.tell(control, &ack)
	}
	return nil
}

// awaitLocked returns once there is an event. It gives the lock away while it waits.
func (s *Stream) awaitLocked(wait time.Duration) error {
	var until time.Time
	for s.in == nil {
		switch {
		case s.closed:
			return ErrClosed
		case s.eof || s.ended:
			return io.EOF
		case wait <= 0:
			return ErrSilent
		}
		now := time.Now()
		if until.IsZero() {
			until = now.Add(wait)
		} else if !now.Before(until) {
			return ErrSilent
		}
		s.armLocked(now, until)
		s.waiting = true
		s.mu.Unlock()
		<-s.wake
		s.mu.Lock()
		s.waiting = false
	}
	return nil
}

// armLocked makes the timer wake the reader at until or before. It stays armed over
// many events: a token would otherwise pay for moving it twice.
func (s *Stream) armLocked(now, until time.Time) {
	switch {
	case s.timer == nil:
		s.timer = time.AfterFunc(until.Sub(now), func() {
			select {
			case s.wake <- struct{}{}:
			default: // it is about to look anyhow
			}
		})
	case s.fires.After(until) || !s.fires.After(now):
		s.timer.Reset(until.Sub(now))
	default:
		return
	}
	s.fires = until
}

// consumedLocked counts n bytes as handed on and says which number to acknowledge
// to the worker, if any.
func (s *Stream) consumedLocked(n int) (ack frame, control string) {
	s.eaten += n
	s.taken = s.seq.next - 1
	due := s.eaten >= ackEvery || s.eaten >= ackSlow && s.heard.Sub(s.ackedAt) >= ackPause
	if !due || s.ended || s.control == "" {
		return frame{}, ""
	}
	s.eaten, s.acked, s.ackedAt = 0, true, s.heard
	return frame{job: s.job, attempt: s.seq.attempt, number: s.taken, kind: ctlAck}, s.control
}

// take reads one frame from out; whole is false if the event goes on.
func (s *Stream) take() (e Event, whole bool) {
	kind := s.out[0]
	e = Event{
		Kind:    EventKind(kind &^ frameMore),
		Attempt: binary.LittleEndian.Uint32(s.out[1:]),
		Number:  binary.LittleEndian.Uint32(s.out[5:]),
	}
	end := storedHeader + int(binary.LittleEndian.Uint32(s.out[9:]))
	e.Data = s.out[storedHeader:end:end]
	s.out = s.out[end:]
	if e.Kind != s.part.Kind || e.Attempt != s.part.Attempt {
		s.long = nil // of an attempt that was given up
	}
	s.part = Event{Kind: e.Kind, Attempt: e.Attempt}
	if kind&frameMore != 0 {
		s.long = append(s.long, e.Data...)
		if len(s.long) > maxEvent {
			s.long = nil
			s.fail(protocol.ErrUpstream(fmt.Sprintf("the model sent a piece of more than %d MB", maxEvent>>20)))
		}
		return e, false
	}
	if len(s.long) > 0 {
		e.Data = append(s.long, e.Data...)
		s.long = nil
	}
	return e, true
}
