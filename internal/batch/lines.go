package batch

import (
	"context"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	lookEvery  = 250 * time.Millisecond // the window, retries and the deadline are looked at
	countEvery = 500 * time.Millisecond // counts are written at most
	pollEvery  = 5 * time.Second        // the batch is read, should nobody have told of a change
	// doubtAfter is how long a line may lie in the queue before its result is looked
	// for: an earlier driver may have submitted it, and be told its end instead.
	doubtAfter = 2 * time.Second
	doubtMost  = 10 * time.Second
)

// outcome is how a flight ended.
type outcome struct {
	*flight
	completed bool
	err       *protocol.Error // a failure that may pass: the line is to be tried again
	lost      error           // nothing is known: this turn ends, or the line has its result
}

// pace is when a batch that runs was last looked at in each way.
type pace struct{ counted, polled, looked, backlog time.Time }

// runLines submits lines and gathers their outcomes until every line has its result
// or the window closes. Once somebody cancels the batch it only waits for the lines
// that run.
func (v *drive) runLines(ctx context.Context) error {
	flying, stop := context.WithCancel(ctx)
	v.stop = stop
	defer v.land()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	more := time.NewTimer(time.Hour) // set by a burst
	defer more.Stop()
	now := time.Now()
	last, patience := pace{now, now, now, now}, doubtAfter
	var drained time.Time // when a cancelled batch waits no more
	for !v.progress.over() {
		now = time.Now()
		if err := v.poll(ctx, now, &last); err != nil { // before anything is submitted: this process may have slept
			return err
		}
		switch cancelled := v.b.Object.Status == protocol.BatchCancelling; {
		case cancelled && drained.IsZero():
			drained = now.Add(v.d.cfg.Drain)
			v.recall()
			continue
		case cancelled && (len(v.progress.flying) == 0 || now.After(drained)):
			return nil
		case cancelled:
		case now.Unix() >= v.b.Object.ExpiresAt:
			v.expired = true
			v.land()
			return v.settle(ctx, v.expiredResults())
		default:
			pause, err := v.fill(flying, now)
			if err != nil {
				return err
			}
			if pause > 0 {
				more.Reset(pause)
			}
		}
		yield := v.yield
		if !drained.IsZero() { // it ends soon
			yield = nil
		}
		select {
		case <-ctx.Done():
			v.leaveBacklog(ctx)
			return context.Cause(ctx)
		case o := <-v.outcomes:
			if err := v.take(ctx, o); err != nil {
				return err
			}
			if now.Sub(last.counted) < countEvery {
				continue
			}
		case <-v.more:
			continue
		case <-more.C:
			continue
		case <-yield:
			v.leaveBacklog(ctx)
			return errYielded
		case <-v.moved:
			last.polled = time.Time{}
		case <-tick.C:
		}
		var err error
		if patience, err = v.look(ctx, now, &last, patience); err != nil {
			return err
		}
	}
	return nil
}

// poll reads the batch from time to time, and when it may have been changed.
func (v *drive) poll(ctx context.Context, now time.Time, last *pace) error {
	if now.Sub(last.polled) < pollEvery {
		return nil
	}
	last.polled = now
	return v.reload(ctx)
}

// look does what is done from time to time: counts are written, and the results of
// lines of which nothing was heard are read.
func (v *drive) look(ctx context.Context, now time.Time, last *pace, patience time.Duration) (time.Duration, error) {
	if now.Sub(last.counted) >= countEvery {
		last.counted = now
		if err := v.count(ctx); err != nil {
			return 0, err
		}
	}
	if now.Sub(last.backlog) >= backlogEvery {
		last.backlog = now
		if err := v.writeBacklog(ctx); err != nil {
			return 0, err
		}
	}
	if now.Sub(last.looked) < patience {
		return patience, nil
	}
	doubted := v.doubted(now)
	if len(doubted) == 0 {
		return patience, nil
	}
	before := v.next
	if err := v.seek(ctx, doubted, now); err != nil {
		return 0, err
	}
	last.looked = now
	if v.next != before {
		return doubtAfter, nil
	}
	return min(2*patience, doubtMost), nil
}

// seek finds out what became of lines of which nothing was heard. One that has no
// result and is not in the queue either was ended by a failure that may pass, of
// which an earlier driver was told; it is submitted again.
func (v *drive) seek(ctx context.Context, doubted []*flight, now time.Time) error {
	queued, err := v.d.conn.LinesQueued(ctx, v.b.Tenant, v.b.Object.ID)
	if err != nil {
		return err
	}
	if err := v.resync(ctx); err != nil { // after: a job goes only once its result is there
		return err
	}
	for _, f := range doubted {
		if _, there := queued[f.job.ID]; there || f.started.Load() || v.progress.flying[f.request] != f {
			continue
		}
		f.stop()
		delete(v.progress.flying, f.request)
		v.progress.tryAgain(f.request, f.try+1, now)
	}
	return nil
}

// recall takes the lines that nobody runs yet out of the queue.
func (v *drive) recall() {
	v.progress.rewind()
	for i, f := range v.progress.flying {
		if f.started.Load() || f.job.ID.IsZero() {
			continue
		}
		f.stop()
		delete(v.progress.flying, i)
		if err := v.d.client.Revoke(&f.job); err != nil {
			v.log.Debug("line of a cancelled batch stays in the queue for now", "error", err)
		}
	}
}

// count writes the counts down for clients.
func (v *drive) count(ctx context.Context) error {
	return v.update(ctx, "count", func(b *protocol.Batch) bool { return b.Count(v.progress.completed, v.progress.failed) })
}

// doubted returns the flights that were queued a while ago and of which nobody said
// that they run. One of which it is not known that it was queued is no case for
// doubt: the client tries that again, or gives it up.
func (v *drive) doubted(now time.Time) (flights []*flight) {
	for _, f := range v.progress.flying {
		s := f.stream.Load()
		if s != nil && s.Stored() && !f.started.Load() && now.Sub(f.since) > doubtAfter {
			flights = append(flights, f)
		}
	}
	return flights
}

// take notes an outcome.
func (v *drive) take(ctx context.Context, o outcome) error {
	delete(v.progress.flying, o.request)
	v.ended(o.flight, o.lost == nil && o.err == nil)
	switch {
	case v.progress.isDone(o.request): // its result was found meanwhile
	case o.lost != nil:
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return o.lost
	case o.err != nil:
		now := time.Now()
		v.throttle.failure(o.since, now, o.err.RetryAfter)
		v.retried = true
		v.progress.tryAgain(o.request, o.try+1, now.Add(retryDelay(o.try+1, o.err.RetryAfter)))
		v.progress.fault(o.request, o.err.Message)
		v.d.metrics.lines.WithLabelValues("retried").Inc()
		v.log.Debug("line is tried again", "line", v.plan.number(o.request), "status", o.err.Status, "try", o.try+1)
	default:
		v.retried = v.retried || v.throttle.failing()
		v.throttle.success()
		v.finished(o.request, o.completed)
	}
	return nil
}

func (v *drive) finished(i int, completed bool) {
	if !v.progress.finish(i, completed) {
		return
	}
	outcome := "failed"
	if completed {
		outcome = "completed"
	}
	v.d.metrics.lines.WithLabelValues(outcome).Inc()
}

// land ends the waiting for lines; those that are queued or running go on. It
// returns when nobody waits any more.
func (v *drive) land() {
	if v.stop == nil {
		return
	}
	v.stop()
	v.stop = nil
	v.flights.Wait()
	for len(v.outcomes) > 0 {
		o := <-v.outcomes
		v.ended(o.flight, o.lost == nil && o.err == nil)
		if o.lost == nil && o.err == nil {
			v.finished(o.request, o.completed)
		}
	}
	clear(v.progress.flying)
	v.progress.rewind()
}
