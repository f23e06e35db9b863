package jobs

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/protocol"
)

// settle takes the result that stands. From now on only the events of the attempt
// that brought it count: another one may have run as well.
func (f *feed) settle(r *Result) {
	if f.result != nil || f.over {
		return
	}
	f.result = r
	switch {
	case r.Status != Completed || r.Events == 0:
	case f.cursor.attempt == r.Attempt:
		f.cursor.only = r.Attempt
	case f.handed:
		f.lose()
	default:
		f.cursor, f.seq = newCursor(f.after, r.Attempt), 1
	}
}

// whole reports whether the reader has all events of a stream that was completed.
func (f *feed) whole() bool {
	r := f.result
	return r != nil && r.Status == Completed && r.Events > 0 && f.cursor.attempt == r.Attempt && f.cursor.next > r.Events
}

// conclude ends the feed by the result, once everything that is stored was read.
func (f *feed) conclude() error {
	r := f.result
	had := f.cursor.attempt == 0 && r.Events > 0 && f.after >= r.Events // all events, when it came
	switch failure := r.Failure(); {
	case failure != nil:
		f.fail(failure)
	case f.job.Stream && (had || f.whole()):
		f.finish()
	case !f.job.Stream, f.after == 0 && !f.handed:
		f.answer()
	default:
		return ErrEventsGone
	}
	return nil
}

// gone says what becomes of a reader whose events are no longer stored.
func (f *feed) gone(ctx context.Context) error {
	if f.result == nil {
		if err := f.look(ctx); err != nil || f.over {
			return err
		}
	}
	if r := f.result; r != nil && (r.Failure() != nil || f.after == 0 && !f.handed) {
		return f.conclude()
	}
	return ErrEventsGone
}

// answer gives the reader the whole completion, and the end.
func (f *feed) answer() {
	f.hand(Event{Kind: Answer, Attempt: f.result.Attempt, Number: 1, Data: f.result.Body})
	f.finish()
}

func (f *feed) finish() {
	f.over = true
	f.out.add(Event{Kind: Done, Attempt: f.result.Attempt, Data: f.result.Outcome.encode(nil)})
}

func (f *feed) fail(err *protocol.Error) {
	f.over = true
	data, merr := err.MarshalJSON()
	if merr != nil {
		data = nil // read as an internal error
	}
	f.out.add(Event{Kind: Failed, Attempt: f.cursor.attempt, Data: data})
}

// lose ends a stream whose reader has text of a worker that is gone.
func (f *feed) lose() { f.fail(workerLost(f.job)) }

// workerLost says what a reader can do whose job's worker is gone.
func workerLost(j *Job) *protocol.Error {
	return errWorkerLost(j.ID, j.Keep != nil, j.Keep != nil && j.Keep.Hidden)
}

func errWorkerLost(id ID, kept, keyed bool) *protocol.Error {
	switch {
	case keyed:
		return protocol.ErrWorkerLostKeyed()
	case kept:
		return protocol.ErrWorkerLostKept("chatcmpl-" + id.String())
	}
	return protocol.ErrWorkerLost()
}

// errEventsLost ends a stream whose reader was so slow that what it wanted next is
// no longer stored.
func errEventsLost() *protocol.Error {
	return &protocol.Error{
		Status: 410, Type: protocol.TypeInvalidRequest, Code: "events_expired", NoRetry: true,
		Message: "The stream ends here: the events that follow are no longer stored. Retrieve the completion instead.",
	}
}

// liveEvents is what came while the feed was busy. A reader that is too slow for it
// goes back to what is stored.
type liveEvents struct {
	wake chan struct{} // one place

	mu       sync.Mutex
	messages []replayMessage
	size     int
	lost     bool // some were dropped
}

// take is the subscription's handler.
func (l *liveEvents) take(m *nats.Msg) {
	msg, err := decodeReplay(m.Data)
	l.mu.Lock()
	switch {
	case l.lost:
	case err != nil, l.size > replayBuffer:
		l.messages, l.size, l.lost = nil, 0, true
	default:
		l.messages = append(l.messages, msg)
		l.size += len(m.Data)
	}
	l.mu.Unlock()
	signal(l.wake)
}

// taken returns what came, and whether some of it is missing.
func (l *liveEvents) taken() (messages []replayMessage, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	messages, lost = l.messages, l.lost
	l.messages, l.size, l.lost = nil, 0, false
	return messages, lost
}
