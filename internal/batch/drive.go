package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// drive is one turn of one batch. Its fields belong to the goroutine that drives.
type drive struct {
	d   *Driver
	run *jobs.Run
	log *slog.Logger

	b        *jobs.StoredBatch
	input    *jobs.FileReader
	plan     *plan
	progress *progress
	next     uint64 // where to read on in the results
	expired  bool   // lines got no answer because the window closed
	throttle throttle
	retried  bool // the backlog is not what is written down

	yield    <-chan struct{} // closed when another batch is to have the place
	moved    chan struct{}   // the batch may have been changed by somebody else
	more     chan struct{}   // there is memory for requests again
	outcomes chan outcome
	flights  sync.WaitGroup
	stop     context.CancelFunc // ends the flights
}

func newDrive(d *Driver, run *jobs.Run, yield <-chan struct{}) *drive {
	return &drive{
		d: d, run: run, yield: yield, log: d.log.With("batch_id", run.Batch),
		moved: make(chan struct{}, 1), more: make(chan struct{}, 1), outcomes: make(chan outcome, 64),
	}
}

// close gives back what the turn held of this process.
func (v *drive) close() {
	v.land()
	v.d.window.leave(v.run.Batch)
	if v.input != nil {
		_ = v.input.Close()
	}
}

// live drives the batch to its end and gives the lease back.
func (v *drive) live(ctx context.Context) error {
	err := v.claim(ctx)
	if errors.Is(err, jobs.ErrNoBatch) {
		return v.d.conn.Orphan(ctx, v.run)
	}
	if err != nil {
		return err
	}
	unwatch, err := v.d.conn.WatchBatch(v.run.Batch, v.nudge)
	if err != nil {
		return err
	}
	defer unwatch()
	for !v.b.Object.Status.Ended() {
		err := v.step(ctx)
		if isLost(err) {
			v.log.Error("batch fails: its input is lost", "tenant", v.b.Tenant, "file", v.b.Object.InputFileID, "error", err)
			err = v.update(ctx, "lose", func(b *protocol.Batch) bool { return b.Lose(time.Now()) })
		}
		if err != nil {
			return err
		}
	}
	return v.bury(ctx)
}

// nudge has the batch read again soon.
func (v *drive) nudge() {
	select {
	case v.moved <- struct{}{}:
	default:
	}
}

// step does what the batch's status asks for.
func (v *drive) step(ctx context.Context) error {
	o := &v.b.Object
	switch {
	case o.Status == protocol.BatchValidating:
		return v.validate(ctx)
	case o.Counts.Total == 0: // cancelled before its lines were counted
		return v.update(ctx, "end", func(b *protocol.Batch) bool { return b.End(protocol.BatchOutcome{}, time.Now()) })
	}
	if err := v.load(ctx); err != nil {
		return err
	}
	run := v.runLines
	if o.Status == protocol.BatchCancelling {
		run = v.drain
	}
	if err := run(ctx); err != nil {
		return err
	}
	if v.b.Object.Status == protocol.BatchCancelling {
		cancelled := notRun(protocol.ErrBatchCancelled())
		if err := v.settle(ctx, func(int) *jobs.Result { return cancelled }); err != nil {
			return err
		}
	}
	return v.finish(ctx)
}

// validate checks the input, which makes the plan, and starts the batch or fails it.
func (v *drive) validate(ctx context.Context) error {
	began := time.Now()
	if v.b.Input == nil {
		return v.fail(ctx, []protocol.BatchFault{protocol.FaultNoInput(v.b.Object.InputFileID, v.b.Tenant)})
	}
	key := v.awaitKey(ctx)
	check := protocol.BatchCheck{Mixed: v.d.cfg.MixedModels}
	if key != nil { // else every line will say so
		check.Serves = func(model string) bool {
			_, err := v.d.access.pool(key, model)
			return err == nil
		}
	}
	check.MaxBody = v.d.cfg.MaxBody
	sum, err := v.read(ctx, check)
	if isLost(err) {
		return v.fail(ctx, []protocol.BatchFault{protocol.FaultNoInput(v.b.Object.InputFileID, v.b.Tenant)})
	}
	if err != nil {
		return err
	}
	if len(sum.Faults) > 0 {
		return v.fail(ctx, sum.Faults)
	}
	v.progress = newProgress(v.plan.len())
	v.log.Info("batch begins", "tenant", v.b.Tenant, "lines", sum.Requests, "bytes", v.b.Input.Bytes,
		"validated_in", time.Since(began).Round(time.Millisecond))
	return v.update(ctx, "start", func(b *protocol.Batch) bool { return b.Start(sum.Model, sum.Requests, time.Now()) })
}

func (v *drive) fail(ctx context.Context, faults []protocol.BatchFault) error {
	return v.update(ctx, "fail", func(b *protocol.Batch) bool { return b.Fail(faults, time.Now()) })
}

// awaitKey returns the key that created the batch, nil if it can no longer be used.
// One made just now may not have been heard of here.
func (v *drive) awaitKey(ctx context.Context) *jobs.Key {
	for range 30 {
		key, known, err := v.d.access.key(v.b.Key)
		if known || ctx.Err() != nil {
			if err != nil {
				return nil
			}
			return key
		}
		sleep(ctx, 100*time.Millisecond)
	}
	return nil
}

// read goes through the input once and makes the plan.
func (v *drive) read(ctx context.Context, check protocol.BatchCheck) (protocol.BatchSummary, error) {
	check.Endpoint = v.b.Object.Endpoint
	r := v.d.conn.OpenFile(ctx, *v.b.Input)
	defer func() { _ = r.Close() }() // only read
	v.plan = &plan{}
	return check.Read(r, func(l protocol.BatchLine) error {
		v.plan.add(l)
		return nil
	})
}

// load makes plan and progress of a batch that was taken over.
func (v *drive) load(ctx context.Context) error {
	if v.plan == nil {
		sum, err := v.read(ctx, protocol.BatchCheck{Mixed: true, MaxBody: protocol.MaxBatchBytes})
		if err != nil {
			v.plan = nil
			return err
		}
		if sum.Requests != v.b.Object.Counts.Total || v.plan.len() != sum.Requests {
			v.plan = nil
			return fmt.Errorf("%w: it has %d requests and %d faults, and had %d requests",
				errChanged, sum.Requests, len(sum.Faults), v.b.Object.Counts.Total)
		}
	}
	if v.input == nil {
		v.input = v.d.conn.OpenFile(ctx, *v.b.Input)
	}
	if v.progress == nil || v.next == 0 {
		v.progress, v.next = newProgress(v.plan.len()), 0
		v.restoreBacklog(time.Now())
		return v.resync(ctx)
	}
	return nil
}

// errChanged says that the input is not what it was when the batch began.
var errChanged = errors.New("input has changed")

// isLost reports whether the input is gone for good: to try again is no use.
func isLost(err error) bool {
	return errors.Is(err, jobs.ErrNoFile) || errors.Is(err, jobs.ErrFileCorrupt) || errors.Is(err, errChanged)
}

// resync reads the results that were stored since it was last called: of lines whose
// end was told to a driver that is gone, or to nobody.
func (v *drive) resync(ctx context.Context) (err error) {
	v.next, err = v.d.conn.LineResults(ctx, v.b.Tenant, v.b.Object.ID, v.next, false, func(r jobs.LineResult) error {
		i, ok := v.plan.find(r.Line)
		if !ok {
			return nil
		}
		v.expired = v.expired || isExpired(r.Result)
		v.progress.finish(i, r.Status == jobs.Completed)
		if f := v.progress.flying[i]; f != nil {
			f.stop()
			delete(v.progress.flying, i)
		}
		return nil
	})
	return err
}

// notRun is the result of a line that was not executed, and why. No worker stores
// such a one, so no answer of a model can be taken for it.
func notRun(why *protocol.Error) *jobs.Result {
	return &jobs.Result{Status: jobs.Cancelled, Error: why}
}

// expiredResults returns the results of requests for which the window closed: those
// that were tried in vain say what was the matter.
func (v *drive) expiredResults() func(i int) *jobs.Result {
	untried := notRun(protocol.ErrBatchExpired())
	return func(i int) *jobs.Result {
		fault, tried := v.progress.faults[i]
		if !tried {
			return untried
		}
		why := protocol.ErrBatchExpired()
		why.Message += " Its last attempt failed: " + fault
		return notRun(why)
	}
}

// reasonOf says why a line was not executed.
func reasonOf(r *jobs.Result) *protocol.Error {
	if r.Error == nil { // somebody cancelled this one line
		return protocol.ErrBatchCancelled()
	}
	return r.Error
}

func isExpired(r *jobs.Result) bool {
	return r.Status == jobs.Cancelled && reasonOf(r).Code == protocol.CodeBatchExpired
}
