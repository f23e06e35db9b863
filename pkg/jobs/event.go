package jobs

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/osiris/osiris/pkg/protocol"
)

// EventKind says what an event of an attempt is.
type EventKind uint8

// The events of an attempt, in the order in which they can come. The values are
// on the wire: none may change.
const (
	Started   EventKind = 1 // a worker took the job
	Opened    EventKind = 2 // the model said its first token
	Chunk     EventKind = 3 // ready-made server-sent events
	Answer    EventKind = 4 // one whole completion
	Done      EventKind = 6 // the answer is complete
	Failed    EventKind = 7 // the job failed for good
	heartbeat EventKind = 5 // the worker is alive and silent; its number is that of the last event

	// What a frontend tells a worker about an attempt travels in the same frames.
	ctlAck    EventKind = 16 // everything up to number was received
	ctlResend EventKind = 17 // send again from number on
	ctlCancel EventKind = 18 // nobody wants the answer
	ctlStale  EventKind = 19 // a newer attempt runs elsewhere
)

// final reports whether nothing follows an event of this kind.
func (k EventKind) final() bool { return k == Done || k == Failed }

// Event is one thing that an attempt emitted.
type Event struct {
	Kind    EventKind
	Attempt uint32 // orders attempts: a later one has a higher number
	Number  uint32 // counts from 1 within the attempt
	Data    []byte // valid until the next call of Stream.Next
}

// StartedInfo is what a Started event says.
type StartedInfo struct {
	Worker string        // id of the worker
	Queue  time.Duration // from the broker's timestamp to the start
	ack    string        // subject that acknowledges this delivery of the job
}

type startedJSON struct {
	Worker string `json:"worker"`
	Ack    string `json:"ack"`
	QueueU int64  `json:"queue_us"`
}

// Timing says where the time of an attempt went.
type Timing struct {
	Queue  time.Duration // stored until started
	Worker time.Duration // started until the model was called
	Model  time.Duration // called until the first token (Opened) or the end (Done)
}

type timingJSON struct {
	Queue  int64 `json:"queue_us"`
	Worker int64 `json:"worker_us"`
	Model  int64 `json:"model_us"`
}

func (t Timing) wire() timingJSON {
	return timingJSON{t.Queue.Microseconds(), t.Worker.Microseconds(), t.Model.Microseconds()}
}

func (t timingJSON) timing() Timing {
	return Timing{
		Queue: time.Duration(t.Queue) * time.Microsecond, Worker: time.Duration(t.Worker) * time.Microsecond,
		Model: time.Duration(t.Model) * time.Microsecond,
	}
}

// Outcome is how an attempt ended; it becomes the usage record, and the Done event.
type Outcome struct {
	Usage        protocol.Usage
	Provider     string // adapter that answered
	Target       string // upstream model
	FinishReason string // of the first choice
	Timing       Timing
}

type outcomeJSON struct {
	Usage        protocol.Usage `json:"usage"`
	Provider     string         `json:"provider,omitzero"`
	Target       string         `json:"target,omitzero"`
	FinishReason string         `json:"finish_reason,omitzero"`
	Timing       timingJSON     `json:"timing"`
}

var errWrongKind = errors.New("event of another kind")

// Started reads a Started event.
func (e Event) Started() (StartedInfo, error) {
	var s startedJSON
	if err := e.decode(Started, &s); err != nil {
		return StartedInfo{}, err
	}
	return StartedInfo{Worker: s.Worker, Queue: time.Duration(s.QueueU) * time.Microsecond, ack: s.Ack}, nil
}

// Opened reads an Opened event: the time until the first token.
func (e Event) Opened() (Timing, error) {
	var t timingJSON
	err := e.decode(Opened, &t)
	return t.timing(), err
}

// Done reads a Done event.
func (e Event) Done() (Outcome, error) {
	var o outcomeJSON
	if err := e.decode(Done, &o); err != nil {
		return Outcome{}, err
	}
	return Outcome{o.Usage, o.Provider, o.Target, o.FinishReason, o.Timing.timing()}, nil
}

// Failed reads a Failed event; an unreadable one is an internal error.
func (e Event) Failed() *protocol.Error {
	if e.Kind != Failed {
		return protocol.ErrInternal().Wrap(errWrongKind)
	}
	perr, err := protocol.DecodeError(e.Data)
	if err != nil {
		return protocol.ErrInternal().Wrap(err)
	}
	return perr
}

func (e Event) decode(kind EventKind, into any) error {
	if e.Kind != kind {
		return errWrongKind
	}
	return json.Unmarshal(e.Data, into)
}

func encodeOutcome(o Outcome) ([]byte, error) {
	return json.Marshal(outcomeJSON{o.Usage, o.Provider, o.Target, o.FinishReason, o.Timing.wire()})
}
