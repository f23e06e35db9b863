package jobs

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/protocol"
)

// resendPause is how long a request to send events again is given to work.
const resendPause = 250 * time.Millisecond

// onEvents takes events from the broker.
func (cl *Client) onEvents(m *nats.Msg) { cl.receive(m.Data, m.Reply) }

// receive hands the frames of a message to their streams; their worker is told things
// at control. It never blocks: what a stream has not read is bounded by the worker,
// which stops at a full window. Under load a message has many frames, those of a job
// mostly side by side: they cost one look-up and one lock together, and each reader is
// woken once.
func (cl *Client) receive(message []byte, control string) {
	cl.receiving.Lock()
	defer cl.receiving.Unlock()
	now := time.Now()
	cl.workers.seen(control, now)
	rest, err := openMessage(message)
	for err == nil && len(rest) > 0 {
		var f frame
		if f, rest, err = nextFrame(rest); err != nil {
			break
		}
		s := cl.stream(f.job)
		if s == nil {
			cl.unknown(&f, control)
			continue
		}
		if rest, err = s.deliver(&f, rest, control, now); !s.dirty {
			s.dirty = true
			cl.dirty = append(cl.dirty, s)
		}
	}
	if err != nil {
		cl.log.Error("events cannot be read", "worker", control, "error", err)
	}
	for i, s := range cl.dirty {
		s.dirty = false
		s.mu.Lock()
		if s.hurry {
			s.wakeLocked()
		}
		s.mu.Unlock()
		cl.dirty[i] = nil
	}
	cl.dirty = cl.dirty[:0]
}

// unknown answers a frame of a job that nobody here waits for: its client left, or
// its end was received and the worker has not heard so.
func (cl *Client) unknown(f *frame, control string) {
	if control != "" {
		cl.tell(control, &frame{job: f.job, attempt: f.attempt, kind: ctlCancel})
	}
}

// deliver offers the stream a frame, and those of the same job that follow it at
// the beginning of rest. It returns what is left.
func (s *Stream) deliver(f *frame, rest []byte, control string, now time.Time) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliverLocked(f, control, now)
	for len(rest) >= frameHeader && ID(rest[:offsetOfAttempt]) == s.job {
		var err error
		if *f, rest, err = nextFrame(rest); err != nil {
			return nil, err
		}
		s.deliverLocked(f, control, now)
	}
	return rest, nil
}

// deliverLocked offers one frame.
func (s *Stream) deliverLocked(f *frame, control string, now time.Time) {
	if s.refuseLocked(f, control) {
		return
	}
	s.heard = now
	if f.kind == returned {
		if f.attempt == s.seq.attempt {
			s.control, s.ack = "", ""
		}
		return
	}
	switch s.seq.offer(f.attempt, f.number, f.kind, f.last()) {
	case ignore:
		if f.kind == heartbeat && s.acked { // it may be waiting at a full window for an ack that was lost
			s.cl.tell(control, &frame{job: s.job, attempt: f.attempt, number: s.taken, kind: ctlAck})
		}
		return
	case gap:
		s.requestLocked(f.attempt, control, now)
		return
	case restart:
		s.cl.gatherings.give(s.in)
		s.in = nil
		s.from, s.control = control, control
		s.eaten, s.taken, s.acked, s.ackedAt = 0, 0, false, now
	case accept:
	}
	s.asked = time.Time{}
	s.knownLocked()
	if s.control == "" { // its worker was thought dead, and is not
		s.control = control
	}
	if f.kind == Started {
		if info, err := (Event{Kind: Started, Data: f.data}).Started(); err == nil {
			s.ack = info.ack
		}
	}
	s.gatherLocked(f)
	if f.last() {
		s.ended = true
		s.cl.tell(control, &frame{job: s.job, attempt: f.attempt, number: f.number, kind: ctlAck})
	}
}

// gatherLocked keeps an event for the reader.
func (s *Stream) gatherLocked(f *frame) {
	if s.in == nil {
		s.in = s.cl.gatherings.take()
	}
	s.in.add(f)
	s.hurry = s.hurry || f.kind != Started || !s.cl.cfg.Unhurried
}

// refuseLocked turns away, and ends, attempts whose frames can be no part of what
// the reader gets.
func (s *Stream) refuseLocked(f *frame, control string) bool {
	end := ctlStale
	switch {
	case s.closed || s.ended:
		end = ctlCancel
	case f.attempt < s.seq.attempt:
	case f.attempt > s.seq.attempt:
		if !s.forwarded || s.replay {
			return false
		}
		end = ctlCancel // text was seen: only the attempt that said it may go on (rule 4)
	case control == s.from: // the newest attempt
		return false
	default: // the broker lost count: the job runs elsewhere under the same number
	}
	if control != "" {
		s.cl.tell(control, &frame{job: s.job, attempt: f.attempt, kind: end})
	}
	return true
}

// requestLocked asks the worker for what is missing, unless it was asked just now.
func (s *Stream) requestLocked(attempt uint32, control string, now time.Time) {
	if control == "" || now.Sub(s.asked) < resendPause {
		return
	}
	s.asked = now
	s.cl.tell(control, &frame{job: s.job, attempt: attempt, number: s.seq.missing(attempt), kind: ctlResend})
}

func (s *Stream) knownLocked() {
	s.known = true
	s.payload = nil
}

// pubAck is the broker's answer to a published job.
type pubAck struct {
	Seq   uint64    `json:"seq"`
	Error *apiError `json:"error"`
}

type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

const errCodeStoreFailed = 10077 // stream full, or a message on the subject already: the description tells

// onAck takes the broker's answer to a published job.
func (cl *Client) onAck(m *nats.Msg) {
	id, err := ParseID(m.Subject[lastToken(m.Subject):])
	if err != nil {
		return
	}
	s := cl.stream(id)
	if s == nil {
		return
	}
	var ack pubAck
	if len(m.Data) == 0 { // no responders: the stream has no leader just now, or is gone; watch publishes again
		cl.missing.Store(true)
		return
	}
	if seq, ok := plainAck(m.Data); ok { // what nearly all say is told without reflection
		ack.Seq = seq
	} else if err := json.Unmarshal(m.Data, &ack); err != nil {
		cl.log.Error("ack cannot be read", "job_id", id.String(), "error", err)
		return
	}
	switch {
	case ack.Error == nil:
		cl.stored(s, ack.Seq)
	case ack.Error.ErrCode == errCodeStoreFailed && strings.Contains(ack.Error.Description, "per subject"):
		cl.stored(s, 0) // an earlier publication of this job arrived
	case ack.Error.ErrCode == errCodeStoreFailed:
		cl.refuse(s, protocol.ErrOverloaded(cl.depth.retryAfter(poolClass{s.pool, s.class})))
	default:
		cl.log.Error("queue refused a job", "job_id", id.String(), "code", ack.Error.ErrCode, "description", ack.Error.Description)
		cl.refuse(s, protocol.ErrUnavailable("The queue refused the request. Please try again later.", 2*time.Second))
	}
}

// stored notes that the job is in the queue; seq is 0 if only its subject is known.
func (cl *Client) stored(s *Stream, seq uint64) {
	s.mu.Lock()
	if seq != 0 {
		s.stored = seq
	}
	s.knownLocked()
	gone := s.closed
	s.mu.Unlock()
	if gone { // the client left before the ack
		if !s.kept {
			cl.remove(s)
		}
		cl.forget(s.job)
	}
}

// refuse ends a stream whose job was not stored.
func (cl *Client) refuse(s *Stream, err *protocol.Error) {
	s.mu.Lock()
	s.payload, s.refused = nil, true
	gone := s.closed
	if !gone && !s.ended {
		s.failLocked(err)
	}
	s.mu.Unlock()
	if s.withdraw != nil {
		s.withdraw()
	}
	if gone {
		cl.forget(s.job)
	}
	cl.dropBody(s)
}

// onWanted answers a worker that got a job for a second time, or wants to know
// whether this frontend lives: 1 if the job is wanted, 0 if not; no question, no byte.
func (cl *Client) onWanted(m *nats.Msg) {
	var answer []byte
	if len(m.Data) == len(ID{}) {
		answer = []byte{0}
		if s := cl.stream(ID(m.Data)); s != nil {
			s.mu.Lock()
			if !s.closed && !s.ended && (s.replay || !s.forwarded) {
				answer[0] = 1
			}
			s.mu.Unlock()
		}
	}
	_ = m.Respond(answer)
}

func (cl *Client) onAlive(m *nats.Msg) {
	cl.workers.seen(m.Reply, time.Now())
}

// lastToken returns where the last token of a subject begins.
func lastToken(subject string) int {
	for i := len(subject) - 1; i >= 0; i-- {
		if subject[i] == '.' {
			return i + 1
		}
	}
	return 0
}
