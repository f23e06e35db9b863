package batch

import (
	"context"
	"math"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

const (
	// lookAhead bounds how many lines of other pools one look passes over.
	lookAhead = 256
	// mostHeld bounds the requests that are in memory on their way into the queue.
	mostHeld = 16 << 20
	// keyPatience is for how many seconds an unknown key is waited for.
	keyPatience = 30
)

// fill submits as many lines as there is room for, up to a burst: more says after
// what pause there may be more to submit, 0 that there is not.
func (v *drive) fill(ctx context.Context, now time.Time) (more time.Duration, err error) {
	if v.throttle.room(math.MaxInt, now) == 0 {
		return 0, nil
	}
	room := func(pool string) bool {
		may, has := v.d.window.room(v.b.Object.ID, v.b.Tenant, pool, now)
		return has < v.throttle.room(may, now)
	}
	key, known, keyErr := v.d.access.key(v.b.Key)
	for passed := 0; passed < lookAhead && len(v.progress.flying) < v.d.cfg.LinesMost; {
		if v.d.held.Load() >= mostHeld && len(v.progress.flying) > 0 {
			return 0, nil // until some are stored
		}
		model := v.b.Object.Model
		if keyErr == nil && model != "" { // all go to one pool: look before reading
			if pool, err := v.d.access.pool(key, model); err == nil && !room(pool) {
				return 0, nil
			}
		}
		if pause := v.d.pacer.pause(time.Now()); pause > 0 {
			return pause, nil
		}
		i, try, ok := v.progress.next(now, v.throttle.failing(), room)
		if !ok {
			return 0, nil
		}
		line, fault := v.plan.line(v.input, i)
		if fault != nil && !isLost(fault) {
			return 0, fault
		}
		f := &flight{request: i, try: try, since: now}
		var job *jobs.Job
		if fault == nil {
			fault = keyErr
		}
		if fault == nil {
			job, fault = v.job(key, line, f, now)
		}
		switch {
		case isLost(fault): // its answer says so; the others go on
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
	return 0, nil
}

// job makes a job of a line, as chat does of a request, and chooses its pool. The
// error is the line's own, a *protocol.Error.
func (v *drive) job(key *jobs.Key, line protocol.BatchLine, f *flight, now time.Time) (*jobs.Job, error) {
	req, err := protocol.ParseBatchBody(line.Body)
	if err != nil {
		return nil, err
	}
	if f.pool, err = v.d.access.pool(key, req.Model); err != nil {
		return nil, err
	}
	f.bytes = int64(len(req.Body))
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
		Body: req.Body, Keep: &jobs.Keep{Batch: v.b.Object.ID, Line: number, Repeat: v.b.Fence > 1 || f.try > 0},
	}, nil
}

// launch lets a line run, or, if it has a fault already, stores that.
func (v *drive) launch(ctx context.Context, f *flight, job *jobs.Job, fault error) {
	ctx, f.stop = context.WithCancel(ctx)
	v.progress.flying[f.request] = f
	if fault == nil {
		v.d.window.submitted(v.b.Object.ID, f.pool, f.bytes)
		v.d.held.Add(f.bytes)
		v.d.pacer.submitted(f.bytes)
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
		v.d.window.ended(v.run.Batch, f.pool, f.bytes, f.started.Load(), done, time.Now())
	}
}
