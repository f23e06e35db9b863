package batch

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

const (
	lookEvery  = 250 * time.Millisecond // the window, retries and the deadline are looked at
	countEvery = 500 * time.Millisecond // counts are written at most
	pollEvery  = 5 * time.Second        // the batch is read, should nobody have told of a change
	// doubtAfter is how long a line may lie in the queue before its result is looked
	// for: an earlier driver may have submitted it, and be told its end instead.
	doubtAfter = 2 * time.Second
	doubtMost  = 30 * time.Second
	// lookAhead bounds how many lines of other pools one look passes over.
	lookAhead = 256
)

// outcome is how a flight ended.
type outcome struct {
	*flight
	completed bool
	err       *protocol.Error // a failure that may pass: the line is to be tried again
	lost      error           // nothing is known: this turn ends, or the line has its result
}

// pace is when a batch that runs was last looked at in each way.
type pace struct{ counted, polled, looked time.Time }

// runLines submits lines and gathers their outcomes until every line has its result
// or the window closes. Once somebody cancels the batch it only waits for the lines
// that run.
func (v *drive) runLines(ctx context.Context) error {
	flying, stop := context.WithCancel(ctx)
	v.stop = stop
	defer v.land()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	now := time.Now()
	last, patience := pace{now, now, now}, doubtAfter
	var drained time.Time // when a cancelled batch waits no more
	for !v.progress.over() {
		now = time.Now()
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
			return v.settle(ctx, &jobs.Result{Status: jobs.Errored, Error: protocol.ErrBatchExpired()})
		default:
			if err := v.fill(flying, now); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case o := <-v.outcomes:
			if err := v.take(ctx, o); err != nil {
				return err
			}
			if now.Sub(last.counted) < countEvery {
				continue
			}
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

// look does what is done from time to time: counts are written, the batch is read,
// and so are the results of lines of which nothing was heard.
func (v *drive) look(ctx context.Context, now time.Time, last *pace, patience time.Duration) (time.Duration, error) {
	if now.Sub(last.counted) >= countEvery {
		last.counted = now
		if err := v.count(ctx); err != nil {
			return 0, err
		}
	}
	if now.Sub(last.polled) >= pollEvery {
		last.polled = now
		if err := v.reload(ctx); err != nil {
			return 0, err
		}
	}
	if now.Sub(last.looked) < patience || !v.inDoubt(now) {
		return patience, nil
	}
	before := v.next
	if err := v.resync(ctx); err != nil {
		return 0, err
	}
	last.looked = now
	if v.next != before {
		return doubtAfter, nil
	}
	return min(2*patience, doubtMost), nil
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

// inDoubt reports whether a line has been out for a while and nobody said that it
// runs.
func (v *drive) inDoubt(now time.Time) bool {
	for _, f := range v.progress.flying {
		if !f.started.Load() && now.Sub(f.since) > doubtAfter {
			return true
		}
	}
	return false
}

// fill submits as many lines as there is room for.
func (v *drive) fill(ctx context.Context, now time.Time) error {
	if v.throttle.room(math.MaxInt, now) == 0 {
		return nil
	}
	room := func(pool string) bool {
		may, has := v.d.window.room(v.b.Object.ID, v.b.Tenant, pool, now)
		return has < v.throttle.room(may, now)
	}
	key, known, keyErr := v.d.access.key(v.b.Key)
	for passed := 0; passed < lookAhead && len(v.progress.flying) < v.d.cfg.LinesMost; {
		model := v.b.Object.Model
		if keyErr == nil && model != "" { // all go to one pool: look before reading
			if pool, err := v.d.access.pool(key, model); err == nil && !room(pool) {
				return nil
			}
		}
		i, try, ok := v.progress.next(now, room)
		if !ok {
			return nil
		}
		line, err := v.plan.line(v.input, i)
		if err != nil {
			return err
		}
		f := &flight{request: i, try: try, since: now}
		var job *jobs.Job
		fault := keyErr
		if fault == nil {
			job, fault = v.job(key, line, f, now)
		}
		switch {
		case !known && now.Unix()-v.b.Object.InProgressAt < keyPatience:
			v.progress.tryAgain(i, try, now.Add(time.Second)) // a key that was not heard of here yet
			passed++
			continue
		case fault == nil && !room(f.pool):
			v.progress.putOff(i, try, f.pool, now.Add(lookEvery))
			passed++
			continue
		}
		v.launch(ctx, f, job, fault)
	}
	return nil
}

// keyPatience is for how many seconds an unknown key is waited for.
const keyPatience = 30

// job makes a job of a line, as chat does of a request, and chooses its pool. The
// error is the line's own, a *protocol.Error.
func (v *drive) job(key *jobs.Key, line protocol.BatchLine, f *flight, now time.Time) (*jobs.Job, error) {
	req, err := protocol.ParseRequest(line.Body)
	if err != nil {
		return nil, err
	}
	if f.pool, err = v.d.access.pool(key, req.Model); err != nil {
		return nil, err
	}
	number := v.plan.number(f.request)
	id, err := jobs.LineID(v.b.Object.ID, number, f.try)
	if err != nil {
		return nil, err
	}
	tier := req.ServiceTier
	if tier == "auto" {
		tier = "default"
	}
	return &jobs.Job{
		ID: id, Tenant: v.b.Tenant, Key: v.b.Key, Model: req.Model, Pool: f.pool, Class: jobs.Batch, ServiceTier: tier,
		Created: now.Unix(), Timeout: max(time.Unix(v.b.Object.ExpiresAt, 0).Sub(now), time.Second),
		Body: req.Body, Keep: &jobs.Keep{Batch: v.b.Object.ID, Line: number, Repeat: true},
	}, nil
}

// launch lets a line run, or, if it has a fault already, stores that.
func (v *drive) launch(ctx context.Context, f *flight, job *jobs.Job, fault error) {
	ctx, f.stop = context.WithCancel(ctx)
	v.progress.flying[f.request] = f
	if fault == nil {
		v.d.window.submitted(v.b.Object.ID, f.pool)
		f.job = *job
		f.job.Body = nil
	}
	v.flights.Go(func() {
		defer f.stop()
		o := v.fly(ctx, f, job, fault)
		if o.lost != nil && ctx.Err() != nil { // stopped from here
			v.ended(f, false)
			return
		}
		select {
		case v.outcomes <- o:
		case <-ctx.Done():
			v.ended(f, false)
		}
	})
}

// ended takes a flight out of the window.
func (v *drive) ended(f *flight, done bool) {
	if f.pool != "" {
		v.d.window.ended(v.run.Batch, f.pool, f.started.Load(), done, time.Now())
	}
}

// fly waits for the end of a line and, unless its worker has, stores what it came to.
func (v *drive) fly(ctx context.Context, f *flight, job *jobs.Job, fault error) outcome {
	if fault == nil {
		fault = v.call(ctx, f, job)
	}
	switch {
	case fault == nil:
		return outcome{flight: f, completed: true}
	case ctx.Err() != nil:
		return outcome{flight: f, lost: context.Cause(ctx)}
	}
	e := protocol.AsError(fault)
	if mayPass(e) {
		return outcome{flight: f, err: e}
	}
	completed, err := v.put(ctx, f.request, &jobs.Result{Status: jobs.Errored, Error: e})
	return outcome{flight: f, completed: completed, lost: err}
}

// call submits the job and waits for its end.
func (v *drive) call(ctx context.Context, f *flight, job *jobs.Job) error {
	s, err := v.d.client.Submit(ctx, job)
	if err != nil {
		return err
	}
	v.d.note("submit")
	job.Body = nil
	defer s.Close()
	defer context.AfterFunc(ctx, s.Close)()
	for {
		e, err := s.Next(time.Hour)
		switch {
		case errors.Is(err, jobs.ErrSilent):
			continue
		case errors.Is(err, io.EOF):
			return protocol.ErrInternal().Wrap(err)
		case err != nil:
			return err
		}
		switch e.Kind {
		case jobs.Started:
			if !f.started.Swap(true) {
				v.d.window.began(v.run.Batch, f.pool)
			}
		case jobs.Failed:
			return e.Failed()
		case jobs.Done:
			return nil
		}
	}
}

// put stores the result of a request unless it has one, and reports whether the
// one that stands is a completion.
func (v *drive) put(ctx context.Context, i int, r *jobs.Result) (completed bool, err error) {
	stored := *r
	stored.Ended = time.Now()
	name := v.plan.name(i)
	won, err := v.d.conn.PutResult(ctx, v.b.Tenant, v.run.Batch, name, &stored, 0)
	if err != nil {
		return false, err
	}
	if won {
		v.d.note("result")
		return false, nil
	}
	have, err := v.d.conn.Result(ctx, v.b.Tenant, v.run.Batch, name)
	if err != nil {
		return false, err
	}
	return have.Status == jobs.Completed, nil
}

// mayPass reports whether the line is to be tried again.
func mayPass(e *protocol.Error) bool {
	if e.Code == "cancelled" && e.NoRetry { // somebody cancelled this one line
		return false
	}
	return e.Status == 408 || e.Status == 409 || e.Status == 429 || e.Status >= 500
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
		v.throttle.failure(now, o.err.RetryAfter)
		v.progress.tryAgain(o.request, o.try+1, now.Add(retryDelay(o.try+1, o.err.RetryAfter)))
		v.d.metrics.lines.WithLabelValues("retried").Inc()
		v.log.Debug("line is tried again", "line", v.plan.number(o.request), "status", o.err.Status, "try", o.try+1)
	default:
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
