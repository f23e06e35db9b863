package batch

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

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
	r := &jobs.Result{Status: jobs.Errored, Error: e}
	switch {
	case isLost(fault):
		r = notRun(protocol.ErrBatchInputLost())
	case mayPass(e):
		return outcome{flight: f, err: e}
	}
	completed, err := v.put(ctx, f.request, r)
	return outcome{flight: f, completed: completed, lost: err}
}

// call submits the job and waits for its end.
func (v *drive) call(ctx context.Context, f *flight, job *jobs.Job) error {
	s, err := v.d.client.Submit(ctx, job)
	job.Body = nil
	if v.d.held.Add(-f.bytes) < mostHeld {
		select {
		case v.more <- struct{}{}:
		default:
		}
	}
	if err != nil {
		return err
	}
	f.stream.Store(s)
	v.d.note("submit")
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
	won, err := v.d.conn.PutResult(ctx, v.run.Tenant, v.run.Batch, name, &stored, 0)
	if err != nil {
		return false, err
	}
	if won {
		v.d.note("result")
		return false, nil
	}
	have, err := v.d.conn.Result(ctx, v.run.Tenant, v.run.Batch, name)
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
