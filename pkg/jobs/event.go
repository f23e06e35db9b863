package jobs

import (
	"errors"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// EventKind says what an event of an attempt is.
type EventKind uint8

// The events of an attempt, in the order in which they can come. The values are
// on the wire: none may change.
const (
	Started   EventKind = 1 // a worker took the job
	Opened    EventKind = 2 // the model said the first token of an answer that comes in chunks
	Chunk     EventKind = 3 // ready-made server-sent events
	Answer    EventKind = 4 // one whole completion
	Done      EventKind = 6 // the answer is complete
	Failed    EventKind = 7 // the job failed for good
	heartbeat EventKind = 5 // the worker is alive and silent; its number is that of the last event
	returned  EventKind = 8 // the worker gave the job back; its number is that of the last event

	// What a frontend tells a worker about an attempt travels in the same frames.
	ctlAck    EventKind = 16 // everything up to number was received
	ctlResend EventKind = 17 // send again from number on
	ctlCancel EventKind = 18 // nobody wants the answer
	ctlStale  EventKind = 19 // a newer attempt runs elsewhere
	ctlRevoke EventKind = 20 // the job is not to run, a kept one neither
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

// Timing says where the time of an attempt went.
type Timing struct {
	Queue  time.Duration // stored until started
	Worker time.Duration // started until the model was called
	Model  time.Duration // called until the first token (Opened) or the end (Done)
}

// Outcome is how an attempt ended; it becomes the usage record, and the Done event.
type Outcome struct {
	Usage        protocol.Usage
	Provider     string // adapter that answered
	Target       string // upstream model
	FinishReason string // of the first choice
	Timing       Timing
}

var errWrongKind = errors.New("event of another kind")

// Fields of event data. Times are in microseconds.
const (
	fieldWorker       = 1
	fieldAck          = 2
	fieldQueueTime    = 3
	fieldWorkerTime   = 4
	fieldModelTime    = 5
	fieldProvider     = 6
	fieldTarget       = 7
	fieldFinish       = 8
	fieldPrompt       = 9
	fieldCompletion   = 10
	fieldTotal        = 11
	fieldCached       = 12
	fieldCacheWritten = 13
	fieldReasoning    = 14
)

// Started reads a Started event.
func (e Event) Started() (StartedInfo, error) {
	var s StartedInfo
	err := decode(e, Started, string(e.Data), func(tag byte, v string) {
		switch tag {
		case fieldWorker:
			s.Worker = v
		case fieldAck:
			s.ack = v
		case fieldQueueTime:
			s.Queue = micros(v)
		}
	})
	return s, err
}

func (s StartedInfo) encode(dst []byte) []byte {
	dst = appendText(dst, fieldWorker, s.Worker)
	dst = appendText(dst, fieldAck, s.ack)
	return appendNumber(dst, fieldQueueTime, s.Queue.Microseconds())
}

// Opened reads an Opened event: the time until the first token.
func (e Event) Opened() (Timing, error) {
	var t Timing
	err := decode(e, Opened, e.Data, func(tag byte, v []byte) { takeTiming(&t, tag, v) })
	return t, err
}

func takeTiming[B string | []byte](t *Timing, tag byte, v B) {
	switch tag {
	case fieldQueueTime:
		t.Queue = micros(v)
	case fieldWorkerTime:
		t.Worker = micros(v)
	case fieldModelTime:
		t.Model = micros(v)
	}
}

func (t *Timing) encode(dst []byte) []byte {
	dst = appendNumber(dst, fieldQueueTime, t.Queue.Microseconds())
	dst = appendNumber(dst, fieldWorkerTime, t.Worker.Microseconds())
	return appendNumber(dst, fieldModelTime, t.Model.Microseconds())
}

// Done reads a Done event.
func (e Event) Done() (Outcome, error) {
	var o Outcome
	err := decode(e, Done, string(e.Data), func(tag byte, v string) {
		switch tag {
		case fieldProvider:
			o.Provider = v
		case fieldTarget:
			o.Target = v
		case fieldFinish:
			o.FinishReason = v
		case fieldPrompt:
			o.Usage.PromptTokens = number[int64](v)
		case fieldCompletion:
			o.Usage.CompletionTokens = number[int64](v)
		case fieldTotal:
			o.Usage.TotalTokens = number[int64](v)
		case fieldCached:
			o.Usage.CachedTokens = number[int64](v)
		case fieldCacheWritten:
			o.Usage.CacheWriteTokens = number[int64](v)
		case fieldReasoning:
			o.Usage.ReasoningTokens = number[int64](v)
		default:
			takeTiming(&o.Timing, tag, v)
		}
	})
	return o, err
}

func (o *Outcome) encode(dst []byte) []byte {
	dst = o.Timing.encode(dst)
	dst = appendText(dst, fieldProvider, clip(o.Provider))
	dst = appendText(dst, fieldTarget, clip(o.Target))
	dst = appendText(dst, fieldFinish, clip(o.FinishReason))
	dst = appendNumber(dst, fieldPrompt, o.Usage.PromptTokens)
	dst = appendNumber(dst, fieldCompletion, o.Usage.CompletionTokens)
	dst = appendNumber(dst, fieldTotal, o.Usage.TotalTokens)
	dst = appendNumber(dst, fieldCached, o.Usage.CachedTokens)
	dst = appendNumber(dst, fieldCacheWritten, o.Usage.CacheWriteTokens)
	return appendNumber(dst, fieldReasoning, o.Usage.ReasoningTokens)
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

func decode[B string | []byte](e Event, kind EventKind, data B, take func(tag byte, value B)) error {
	if e.Kind != kind {
		return errWrongKind
	}
	return fields(data, take)
}

func micros[B string | []byte](v B) time.Duration {
	return time.Duration(number[int64](v)) * time.Microsecond
}

// clip bounds a name that somebody else chose.
func clip(s string) string { return s[:min(len(s), 256)] }
