package jobs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/protocol"
)

// run handles one delivered job, from the message to the last acknowledgement that
// does not wait for others. It owns a slot.
func (k *Consumer) run(m *nats.Msg, arrived time.Time) {
	defer k.released()
	meta, err := m.Metadata()
	if err != nil {
		k.log.Error("job without delivery data", "subject", m.Subject, "error", err)
		return
	}
	job, frontend, ref, err := decodeJob(m.Data)
	if err != nil {
		k.log.Error("job cannot be read and is dropped", "subject", m.Subject, "error", err)
		_ = k.conn.nc.Publish(m.Reply, ackTerm)
		return
	}
	if k.adopt(job.ID, m.Reply) {
		return
	}
	attempt := uint32(meta.NumDelivered)
	unwanted, revoked := k.forgotten(job.ID)
	if job.Keep == nil && (unwanted || attempt > 1 && !k.wanted(frontend, job.ID)) || revoked {
		_ = k.conn.nc.Publish(m.Reply, ackAck)
		return
	}
	stored := meta.Timestamp.Add(-time.Duration(k.skew.Load())) // by the clock here
	a := k.begin(m.Reply, job, frontend, attempt, arrived.Sub(stored))
	defer k.unlink(a.link)
	if unwanted || job.Keep != nil && job.Keep.Background {
		a.mute()
	}
	end := deadline(stored, job.Timeout)
	var ctx context.Context = deadlined{a.ctx, end}
	if job.Keep != nil {
		var over bool
		if over, err = k.recall(a); over {
			return
		}
	}
	if !end.IsZero() {
		defer time.AfterFunc(time.Until(end), func() { a.cancel(ErrExpired) }).Stop()
		if !time.Now().Before(end) {
			a.cancel(ErrExpired) // not started (rule 6)
		}
	}
	if err == nil && ctx.Err() != nil {
		err = ErrExpired
	}
	if err != nil {
		k.conclude(ctx, a, Outcome{}, err)
		return
	}
	if ref != nil {
		if job.Body, err = k.conn.loadBody(ctx, *ref); err != nil {
			k.conclude(ctx, a, Outcome{}, bodyError(err))
			return
		}
	}
	if err := a.start(); err != nil {
		k.conclude(ctx, a, Outcome{}, err)
		return
	}
	outcome, err := k.handle(ctx, a)
	k.conclude(ctx, a, outcome, err)
}

// deadline is when the job's time is over, counted from when the broker stored it;
// zero if it has no end.
func deadline(stored time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return stored.Add(d)
}

// deadlined is the context of an attempt that somebody ends at its deadline. One of
// the standard library's within another would cost four times as much, for each job.
type deadlined struct {
	context.Context
	end time.Time // zero: none
}

func (d deadlined) Deadline() (time.Time, bool) { return d.end, !d.end.IsZero() }

// timeLeft is the time until the deadline of ctx; without one, all the time there is.
func timeLeft(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return max(time.Until(end), 0)
	}
	return math.MaxInt64
}

// bodyError says what becomes of a job whose body was not read.
func bodyError(err error) error {
	if errors.Is(err, errBodyGone) {
		return protocol.ErrInternal().Wrap(err)
	}
	return fmt.Errorf("%w: %w", ErrHandBack, err)
}

// forgotten reports whether the client left before the job arrived, and whether the
// job was cancelled by whoever may: a kept one outlives its client.
func (k *Consumer) forgotten(id ID) (unwanted, revoked bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.cancelled[id]
	return ok, c.revoked
}

// adopt gives a delivery to the attempt of its job that runs here already, whose
// lease ran out during an outage or was lost with the broker's memory: the attempt
// goes on, under the new lease.
func (k *Consumer) adopt(id ID, ack string) bool {
	k.mu.Lock()
	a := k.byJob[id]
	k.mu.Unlock()
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	running := a.ended.IsZero() && (a.ctx.Err() == nil || errors.Is(context.Cause(a.ctx), ErrExpired)) // about to say that it expired
	if running || (a.owed && a.removeBy != nil) {
		a.ack = ack
		return true
	}
	return false
}

// begin makes the attempt known, so that it can be cancelled.
func (k *Consumer) begin(ack string, job *Job, frontend string, number uint32, queued time.Duration) *Attempt {
	a := &Attempt{
		k: k, job: job, name: attemptName(job.ID, number), link: k.linkTo(frontend), near: k.conn.neighbour(frontend), subject: k.conn.n.events(frontend, job.ID),
		number: number, ack: ack, queued: max(queued, 0), room: make(chan struct{}, 1), sent: time.Now(),
	}
	a.ctx, a.cancel = context.WithCancelCause(k.root)
	k.rings.lend(&a.ring)
	k.mu.Lock()
	older := k.byJob[job.ID]
	k.byJob[job.ID] = a
	k.attempts[a.name] = a
	k.mu.Unlock()
	if older != nil {
		older.drop(ErrSuperseded)
	}
	return a
}

func attemptName(job ID, number uint32) string {
	var buf [40]byte
	name, _ := job.AppendText(buf[:0]) // never fails
	return string(strconv.AppendUint(append(name, '-'), uint64(number), 36))
}

// start announces the attempt.
func (a *Attempt) start() error {
	a.mu.Lock()
	info := StartedInfo{Worker: a.k.cfg.WorkerID, Queue: a.queued, ack: a.ack}
	a.mu.Unlock()
	return a.emit(Started, info.encode(make([]byte, 0, 192)), sociable)
}

// handle calls the handler; a panic in it fails the job, not the worker.
func (k *Consumer) handle(ctx context.Context, a *Attempt) (o Outcome, err error) {
	a.handled(ctx)
	defer func() {
		a.returned()
		if r := recover(); r != nil {
			k.log.Error("handler panicked", "job_id", a.job.ID.String(), "panic", r, "stack", string(debug.Stack()))
			err = protocol.ErrInternal().Wrap(fmt.Errorf("handler panicked: %v", r))
		}
	}()
	return k.handler(ctx, a)
}

// handled notes the context of the handler, which begins.
func (a *Attempt) handled(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handling = ctx
}

// returned notes that the handler returned.
func (a *Attempt) returned() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handling = nil
}

// conclude stores the result of a kept job, emits the last event and stores usage;
// the job is removed when all that is stored, so that nothing is lost with it.
func (k *Consumer) conclude(ctx context.Context, a *Attempt, o Outcome, err error) {
	a.mu.Lock()
	emitted := a.emitted
	a.mu.Unlock()
	var cause error
	if ctx.Err() != nil {
		cause = context.Cause(ctx)
	}
	o.Timing.Queue = a.queued
	var e ending
	if a.job.Keep == nil {
		e = decide(err, cause, a.job.Stream, emitted)
	} else if e = decideKept(err, cause, a.job, emitted, a.number, timeLeft(ctx)); e.result != 0 {
		e = k.keepResult(a, e, &o)
	} else if rec := a.kept.rec.Load(); rec != nil && e.again() {
		rec.giveUp(k.stop)
	}
	k.last(a, e, &o)
	k.over(a, e)
	if e.status == StatusHandedBack && o.Usage.TotalTokens == 0 { // nothing was used: back at once
		k.usageStored(a)
		return
	}
	k.usage.add(a, a.usageRecord(&o, e.status, e.err))
}

// over ends the attempt, but for what is still to be stored and told.
func (k *Consumer) over(a *Attempt, e ending) {
	a.mu.Lock()
	a.ended = time.Now()
	a.heard = a.heard || a.muted || e.kind == 0
	a.owed, a.removeBy = true, e.ack
	a.mu.Unlock()
	a.cancel(nil)
	if e.kind == 0 && e.again() {
		a.sayReturned()
	}
}

// last emits the final event of an attempt, if it has one.
func (k *Consumer) last(a *Attempt, e ending, o *Outcome) {
	var data []byte
	switch e.kind {
	case Done:
		data = o.encode(make([]byte, 0, 160))
	case Failed:
		var err error
		if data, err = e.err.MarshalJSON(); err != nil { // read as an internal error
			k.log.Error("failure cannot be encoded", "job_id", a.job.ID.String(), "error", err)
		}
	default:
		return
	}
	_ = a.emit(e.kind, data, sociable) // a final event waits for nothing and cannot fail
}

// finish forgets an attempt whose end is known to its frontend and whose usage is
// stored.
func (k *Consumer) finish(a *Attempt) {
	a.mu.Lock()
	over := !a.ended.IsZero() && a.heard && !a.owed
	if over {
		k.rings.take(&a.ring) // whoever still comes for it finds it empty
	}
	a.mu.Unlock()
	if !over {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.attempts[a.name] == a { // the broker may count deliveries anew, and the job run here again under this number
		delete(k.attempts, a.name)
	}
	if k.byJob[a.job.ID] == a {
		delete(k.byJob, a.job.ID)
	}
	k.settle()
}
