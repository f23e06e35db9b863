package jobs

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Why an attempt's context ended: context.Cause returns one of these.
var (
	ErrCancelled    = errors.New("nobody waits for the answer any more")
	ErrFrontendGone = errors.New("the frontend that waits for the answer is gone")
	ErrExpired      = errors.New("the deadline has passed")
	ErrShutdown     = errors.New("the worker is stopping")
	ErrSuperseded   = errors.New("a newer attempt runs")

	// ErrHandBack, returned by a Handler that emitted nothing, gives the job to
	// another worker. It is no failure and counts toward nothing.
	ErrHandBack = errors.New("handed back")
)

// Attempt is one run of a job on this worker. Emitting belongs to the handler's
// goroutine.
type Attempt struct {
	k       *Consumer
	job     *Job
	name    string  // in this worker: job and number
	link    *link   // to the frontend
	near    *Client // the frontend itself, if it is on this connection; else nil
	subject string
	number  uint32
	queued  time.Duration // from the broker's timestamp to the start
	ctx     context.Context
	cancel  context.CancelCauseFunc

	kept keeping // of a kept job

	cut      time.Time // since when the handler should have returned; zero: it need not. For tend alone
	reported bool      // that it did not; for tend alone

	mu       sync.Mutex
	handling context.Context // the handler's, while it runs
	muted    bool            // nobody reads the events of a kept job as they come
	ack      string          // acknowledges the newest delivery of the job
	ring     ring
	last     uint32        // number of the newest frame
	emitted  bool          // a chunk or an answer
	room     chan struct{} // the frontend acknowledged something
	sent     time.Time     // newest frame or heartbeat
	ended    time.Time     // the final frame was emitted, or none will be
	heard    bool          // the frontend knows the end, or need not
	owed     bool          // its usage record is not stored yet
	removeBy []byte        // acknowledgement to send once usage is stored; nil for none
}

// Job returns the job; it must not be changed, except that the handler may set its
// Body to nil once it needs that no more.
func (a *Attempt) Job() *Job { return a.job }

// Number orders the attempts of a job. It grows with each delivery, so it does
// not count failures.
func (a *Attempt) Number() uint32 { return a.number }

// Queued is how long the job waited for this attempt, by the broker's clock.
func (a *Attempt) Queued() time.Duration { return a.queued }

// Opened tells when the model said its first token, before the first Chunk; it travels
// with what is emitted next.
func (a *Attempt) Opened(t Timing) error {
	var buf [64]byte
	return a.emit(Opened, t.encode(buf[:0]), patient)
}

// Chunk emits server-sent events, ready to be forwarded: one or several, whole.
// It copies sse. While the frontend's window is full it blocks; when the attempt's
// context ends it returns its cause.
func (a *Attempt) Chunk(sse []byte) error {
	if a.job.Keep != nil {
		return a.chunkKept(sse)
	}
	return a.emit(Chunk, sse, sociable)
}

// Answer emits a whole completion, as Chunk does events.
func (a *Attempt) Answer(body []byte) error {
	if a.job.Keep != nil {
		return a.answerKept(body)
	}
	return a.emit(Answer, body, sociable)
}

func (a *Attempt) emit(kind EventKind, data []byte, h haste) error {
	for first := true; first || len(data) > 0; first = false {
		part := data[:min(len(data), maxFrameData)]
		data = data[len(part):]
		if err := a.emitFrame(kind, part, len(data) > 0, h); err != nil {
			return err
		}
	}
	return nil
}

func (a *Attempt) emitFrame(kind EventKind, part []byte, more bool, h haste) error {
	a.mu.Lock()
	for a.ring.size() > 0 && a.ring.size()+len(part) > window && !kind.final() {
		a.mu.Unlock()
		a.link.out.flush()
		select {
		case <-a.room:
		case <-a.ctx.Done():
			return context.Cause(a.ctx)
		}
		a.mu.Lock()
	}
	defer a.mu.Unlock()
	if !kind.final() {
		if a.ctx.Err() != nil {
			return context.Cause(a.ctx)
		}
		a.emitted = a.emitted || kind == Chunk || kind == Answer
	}
	a.last++
	a.sent = time.Now()
	if a.muted {
		return nil
	}
	f := frame{job: a.job.ID, attempt: a.number, number: a.last, kind: kind, more: more, data: part}
	a.ring.add(&f)
	a.tell(&f, h)
	return nil
}

// tell sends the frontend a frame. The caller holds a.mu.
func (a *Attempt) tell(f *frame, h haste) {
	if a.near != nil {
		a.near.hand(f, a.k.control, h)
		return
	}
	a.link.out.add(a.subject, f, h)
}

// beat tells the frontend that the attempt is alive, and up to where it emitted.
func (a *Attempt) beat(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent = now
	if a.muted {
		return
	}
	a.tell(&frame{job: a.job.ID, attempt: a.number, number: a.last, kind: heartbeat}, sociable)
}

// sayReturned tells the frontend not to hold this worker to the job. It need not
// arrive: then the job counts as lost with the worker, should that go away.
func (a *Attempt) sayReturned() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.muted {
		return
	}
	a.tell(&frame{job: a.job.ID, attempt: a.number, number: a.last, kind: returned}, sociable)
}

// acknowledge takes the frontend's word that it has everything up to number.
func (a *Attempt) acknowledge(number uint32) {
	a.mu.Lock()
	a.ring.drop(number)
	if !a.ended.IsZero() && number >= a.last {
		a.heard = true
	}
	a.mu.Unlock()
	select {
	case a.room <- struct{}{}:
	default:
	}
}

// resend sends the frames from number on again.
func (a *Attempt) resend(number uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ring.from(number, maxOutbox, func(frames []byte) { a.link.out.addEncoded(a.subject, frames) })
}

// drop ends the attempt from outside.
func (a *Attempt) drop(cause error) {
	a.cancel(cause)
	a.mu.Lock()
	if !a.ended.IsZero() {
		a.heard = true // it ended already, and nobody wants to know
	}
	a.mu.Unlock()
}

// leave takes the frontend's word, or its absence, that nobody reads the events:
// a plain job ends, a kept one goes on in silence.
func (a *Attempt) leave(cause error) {
	if a.job.Keep == nil {
		a.drop(cause)
		return
	}
	a.mute()
}

// mute stops telling the frontend anything.
func (a *Attempt) mute() {
	a.mu.Lock()
	a.muted = true
	a.ring.drop(a.last)
	if !a.ended.IsZero() {
		a.heard = true
	}
	a.mu.Unlock()
	select {
	case a.room <- struct{}{}:
	default:
	}
}
