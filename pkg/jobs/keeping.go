package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// keeping is what an attempt of a kept job does beyond telling its frontend. But
// for rec it belongs to the handler's goroutine. A plain job's is zero.
type keeping struct {
	rec     atomic.Pointer[recorder] // of a kept stream
	pieces  *protocol.Accumulator    // what the chunks add up to
	whole   []byte                   // the answer, if it came whole
	started time.Time
	attempt uint32 // the number among the job's stored events and results
}

// chunkKept is Chunk of a kept job: the events are numbered, stored and folded.
func (a *Attempt) chunkKept(sse []byte) error {
	if a.kept.pieces == nil {
		tier := a.job.ServiceTier
		a.kept.pieces = protocol.NewAccumulator(protocol.Envelope{
			ID: "chatcmpl-" + a.job.ID.String(), Created: a.job.Created, Model: a.job.Model, ServiceTier: tier,
		})
	}
	if err := a.kept.pieces.Add(sse); err != nil {
		return err
	}
	if rec := a.kept.rec.Load(); rec != nil {
		var err error
		if sse, err = rec.add(a.ctx, sse); err != nil {
			return err
		}
	}
	return a.emit(Chunk, sse, sociable)
}

// answerKept is Answer of a kept job. The driver of a batch needs no body: it
// reads the result.
func (a *Attempt) answerKept(body []byte) error {
	a.kept.whole = append([]byte(nil), body...)
	if a.job.isLine() {
		return nil
	}
	return a.emit(Answer, body, sociable)
}

// completion is the answer to be stored.
func (a *Attempt) completion(usage protocol.Usage) ([]byte, error) {
	switch {
	case a.kept.whole != nil:
		return a.kept.whole, nil
	case a.kept.pieces == nil:
		return nil, protocol.ErrInternal().Wrap(errors.New("job is done without an answer"))
	}
	a.kept.pieces.SetUsage(usage)
	return a.kept.pieces.Completion(nil)
}

// recall prepares an attempt of a kept job. When the job may have run before, it
// looks for a result: then there is nothing to run, and over is true.
// A deadline that has passed does not keep it from looking.
func (k *Consumer) recall(a *Attempt) (over bool, err error) {
	ctx := a.ctx
	a.kept.started, a.kept.attempt = time.Now(), a.number
	if a.number > 1 || a.job.Keep.Repeat {
		group, name := a.job.resultName()
		r, err := k.conn.Result(ctx, a.job.Tenant, group, name)
		switch {
		case err == nil:
			k.tellResult(a, r)
			return true, nil
		case !errors.Is(err, ErrNotKept):
			return false, fmt.Errorf("%w: %w", ErrHandBack, err)
		}
	}
	if a.job.isLine() {
		return false, nil
	}
	first := uint64(1)
	if a.number > 1 || a.job.Keep.Repeat {
		last, err := k.conn.lastReplay(ctx, a.job.ID)
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrHandBack, err)
		}
		// The broker counts anew for a job that was submitted again; readers know
		// the newest attempt by its number.
		a.kept.attempt = max(a.kept.attempt, last.attempt+1)
		first = firstEvent(last, a.kept.attempt, a.queued > k.conn.cfg.KeepEvents)
	}
	about := replayAbout{Worker: k.cfg.WorkerID, Started: a.kept.started, Instance: k.instance}.encode(nil)
	subject := k.conn.n.replay(a.job.ID)
	if !a.job.Stream {
		m := replayMessage{kind: replayStarted, attempt: a.kept.attempt, first: first, data: about}
		_ = k.conn.nc.Publish(subject, appendReplay(nil, &m)) // only tells readers that it runs
		return false, nil
	}
	key := "." + a.name
	rec := newRecorder(a.kept.attempt, first, k.conn.partSize(), func(number uint64, data []byte) {
		_ = k.conn.nc.PublishRequest(subject, k.replayInbox+"."+strconv.FormatUint(number, 36)+key, data)
	})
	a.kept.rec.Store(rec) // before its first message is confirmed
	rec.mark(replayStarted, about)
	return false, nil
}

// firstEvent numbers the first event of an attempt of a job that may have run
// before, from the last message that is stored of it; aged says that older ones may
// be gone. One that gave up before its first event leaves its numbers to the next.
func firstEvent(last replayMessage, attempt uint32, aged bool) uint64 {
	switch {
	case last.kind == replayGaveUp && last.attempt+1 == attempt:
		return last.first
	case last.attempt > 0, attempt > 1 && aged:
		return uint64(attempt-1)*attemptEvents + 1
	}
	return 1
}

// attemptEvents is more than an attempt has events. One that follows another begins
// with a number beyond it, since its readers may have seen more than was stored.
const attemptEvents = 1 << 20

// lastReplay returns the last stored message of a job; without one, an empty one.
func (c *Conn) lastReplay(ctx context.Context, id ID) (replayMessage, error) {
	m, err := c.leaderGet(ctx, c.n.replayStream(), question{LastFor: c.n.replay(id)})
	if errors.Is(err, errNotStored) {
		return replayMessage{}, nil
	}
	if err != nil {
		return replayMessage{}, err
	}
	return decodeReplay(m.Data)
}

// tellResult ends an attempt of a job that has a result: its frontend is told, if
// it still waits, and the job removed.
func (k *Consumer) tellResult(a *Attempt, r *Result) {
	e := ending{status: StatusCancelled, kind: Done, ack: ackAck}
	if err := a.start(); err == nil && r.Status == Completed {
		_ = a.emit(Answer, r.Body, sociable) // a frontend that went meanwhile does not matter
	}
	if e.err = r.Failure(); e.err != nil {
		e.kind = Failed
	}
	k.notify(a, r.Status, &e)
	k.last(a, e, &r.Outcome)
	k.over(a, e)
	k.usageStored(a)
}

// notify tells webhooks how a background job ended, before its message is removed:
// a worker that dies in between leaves that to the next attempt.
func (k *Consumer) notify(a *Attempt, status ResultStatus, e *ending) {
	if !a.job.Keep.Background {
		return
	}
	kind, known := map[ResultStatus]string{
		Completed: NoticeChatCompleted, Errored: NoticeChatFailed, Cancelled: NoticeChatCancelled,
	}[status]
	if !known {
		return
	}
	err := k.conn.Notify(k.stop, a.job.Tenant, Notice{Type: kind, ObjectID: "chatcmpl-" + a.job.ID.String()})
	if err != nil {
		k.log.Warn("webhooks not told yet", "job_id", a.job.ID.String(), "error", err)
		e.ack = nakIn(keepAgain)
	}
}

// Failure is what whoever waits for the completion is told; nil for a good one.
func (r *Result) Failure() *protocol.Error {
	switch r.Status {
	case Errored:
		return r.Error
	case Cancelled, Deleted:
		return errRevoked()
	}
	return nil
}

// errRevoked ends the waiting for a job that somebody cancelled or deleted.
func errRevoked() *protocol.Error {
	return &protocol.Error{
		Status: 409, Type: protocol.TypeInvalidRequest, Code: "cancelled", NoRetry: true,
		Message: "The completion was cancelled.",
	}
}

// keepResult stores the result of an attempt that ended for good, and says what
// its frontend is to be told. It blocks until that is done; while NATS is away, as
// long as the worker runs.
func (k *Consumer) keepResult(a *Attempt, e ending, o *Outcome) ending {
	r := &Result{
		Status: e.result, Error: e.err, Outcome: *o, Worker: k.cfg.WorkerID, Attempt: a.kept.attempt, Started: a.kept.started,
	}
	if e.result == Completed {
		body, err := a.completion(o.Usage)
		if err != nil {
			e = ending{status: StatusFailed, kind: Failed, err: protocol.AsError(err), ack: ackAck}
			r.Status, r.Error = Errored, e.err
		}
		r.Body = body
	}
	if rec := a.kept.rec.Load(); rec != nil {
		r.Events = rec.finish(k.stop)
	}
	r.Ended = time.Now()
	group, name := a.job.resultName()
	won, err := k.conn.PutResult(k.stop, a.job.Tenant, group, name, r, a.job.keptTTL())
	switch {
	case err != nil:
		k.log.Error("result not stored, the job will run again", "job_id", a.job.ID.String(), "error", err)
		again := ending{status: StatusHandedBack, ack: nakIn(keepAgain)}
		if a.job.Stream { // text may have been seen
			again.kind, again.err = Failed, workerLost(a.job).Wrap(err)
		}
		return again
	case !won:
		return k.beaten(a, e)
	}
	a.markReplay(e)
	k.notify(a, r.Status, &e)
	return e
}

// keepAgain is the pause before a job whose result could not be stored runs again.
const keepAgain = 30 * time.Second

// beaten says what to tell the frontend of an attempt whose result came second.
func (k *Consumer) beaten(a *Attempt, e ending) ending {
	group, name := a.job.resultName()
	r, err := k.conn.Result(k.stop, a.job.Tenant, group, name)
	if err != nil {
		k.log.Warn("result of another attempt not read", "job_id", a.job.ID.String(), "error", err)
		return ending{status: StatusCancelled, ack: ackAck}
	}
	e = ending{status: StatusFinished, kind: Done, ack: ackAck}
	if failure := r.Failure(); failure != nil {
		e = ending{status: StatusCancelled, kind: Failed, err: failure, ack: ackAck}
	} else if !a.job.Stream { // who reads a stream has read this attempt's
		_ = a.emit(Answer, r.Body, sociable)
	}
	k.notify(a, r.Status, &e) // whoever was first may have died before it did
	return e
}

// markReplay tells readers of the stored events how it ended.
func (a *Attempt) markReplay(e ending) {
	rec := a.kept.rec.Load()
	if rec == nil {
		return
	}
	if e.kind == Done {
		rec.mark(replayDone, nil)
		return
	}
	data, err := e.err.MarshalJSON()
	if err != nil {
		data = nil // read as an internal error
	}
	rec.mark(replayFailed, data)
}

// replayAbout is what a started message says.
type replayAbout struct {
	Worker   string
	Started  time.Time
	Instance string // an address at which nobody answers once the worker is dead
}

const (
	aboutWorker  = 1
	aboutStarted = 2 // unix milliseconds

	aboutInstance = 3
)

func (s replayAbout) encode(dst []byte) []byte {
	dst = appendText(dst, aboutWorker, s.Worker)
	dst = appendNumber(dst, aboutStarted, s.Started.UnixMilli())
	return appendText(dst, aboutInstance, s.Instance)
}

func decodeReplayAbout(b []byte) (s replayAbout, err error) {
	err = fields(b, func(tag byte, v []byte) {
		switch tag {
		case aboutWorker:
			s.Worker = string(v)
		case aboutStarted:
			s.Started = time.UnixMilli(number[int64](v)).UTC()
		case aboutInstance:
			s.Instance = string(v)
		}
	})
	return s, err
}
