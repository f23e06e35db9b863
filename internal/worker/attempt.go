package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// attempt is one attempt's way to an answer: the targets it may still try, and
// what went wrong so far.
type attempt struct {
	gate    *gate
	metrics *metrics
	log     func() *slog.Logger // of this attempt

	job     *jobs.Job
	chat    *protocol.Request
	label   string          // of the model, for metrics
	targets []*target       // still to be tried, in order
	calls   map[*target]int // that failed; nil before the first
	faults  faults
	last    *target // called last; nil before the first call
	out     output
}

// run calls targets until one answered, none is left or ctx ended. The error is
// the context's cause, an error of the queue, or a *protocol.Error for the client.
func (a *attempt) run(ctx context.Context) error {
	for len(a.targets) > 0 {
		l, err := a.gate.acquire(ctx, a.job.Class, a.targets)
		if broken, ok := errors.AsType[*brokenError](err); ok {
			return a.exhausted(broken.wait)
		}
		if err != nil {
			return err
		}
		a.last = l.target
		fault, err := a.call(ctx, l)
		switch {
		case fault == nil:
			return err
		case a.out.opened:
			told := public(fault, l.target, a.job.Model)
			a.about(l.target, told).Warn("answer broke off", "reason", reason(fault))
			return told
		}
		if err := a.afterFault(ctx, fault, l.target); err != nil {
			return err
		}
	}
	return a.exhausted(0)
}

// call makes one call. Of its results, fault is the target's, err the context's
// cause or an error of the queue; both are nil if the answer is complete.
func (a *attempt) call(ctx context.Context, l lease) (fault *provider.Error, err error) {
	t, now := l.target, time.Now()
	a.out.begin(now)
	err = complete(ctx, t.impl, &provider.Request{
		Model: t.model, Chat: a.chat, Stream: a.out.stream || t.streamAlways,
		JobID: a.job.ID.String(), Limits: t.limits, Profile: t.profile,
	}, &a.out)
	if err == nil {
		err = a.out.end()
	} else {
		_ = a.out.Flush() // what was taken before the fault; a refusal is remembered
	}
	fault, err = blame(ctx, err, a.out.refused)
	before, after := a.gate.end(l, health(fault, err))
	a.noteBreaker(l, before, after, fault)
	a.metrics.call(a.label, t.provider, fault, err, &a.out, time.Since(now))
	if fault != nil && fault.Operator != "" && a.gate.mayNote(t.condition, now) {
		a.log().Error("provider needs an operator", "provider", t.provider, "target", t.model, "reason", fault.Operator)
	}
	return fault, err
}

// noteBreaker logs that the breaker of a target opened or closed. A probe that fails
// is no news.
func (a *attempt) noteBreaker(l lease, before, after breakerState, fault *provider.Error) {
	if before == after {
		return
	}
	t := l.target
	log := a.log().With("provider", t.provider, "target", t.model)
	switch {
	case before == closed && after == open && fault != nil && fault.Public != nil:
		log.Warn("target keeps failing, leaving it alone",
			"failures", t.breaker.Failures, "cooldown", t.breaker.Cooldown, "status", fault.Public.Status, "code", fault.Public.Code)
	case before != closed && after == closed:
		log.Info("target answers again")
	}
}

// afterFault prepares the call that follows a failed one, or returns the client's
// error where none can help.
func (a *attempt) afterFault(ctx context.Context, fault *provider.Error, t *target) error {
	told := public(fault, t, a.job.Model)
	a.faults.add(told)
	if a.calls == nil {
		a.calls = map[*target]int{}
	}
	a.calls[t]++
	what, wait := judge(fault, t.retries, a.calls[t], timeLeft(ctx), rand.Float64())
	i := slices.Index(a.targets, t)
	a.targets = slices.Delete(a.targets, i, i+1)
	log := a.about(t, told)
	switch what {
	case again:
		a.targets = slices.Insert(a.targets, 0, t)
		log.Info("target failed, trying it again", "wait", wait, "reason", reason(fault))
		return pause(ctx, wait)
	case next:
		log.Warn("target failed", "targets_left", len(a.targets), "reason", reason(fault))
		return nil
	default:
		return told
	}
}

// about is the log of what happened at t. What the server said, which may repeat
// the prompt, is told at debug level only.
func (a *attempt) about(t *target, told *protocol.Error) *slog.Logger {
	log := a.log().With("provider", t.provider, "target", t.model, "status", told.Status, "code", told.Code)
	log.Debug("target said", "error", told)
	return log
}

// exhausted is the error of a job that no target could serve. wait is how long
// until one whose breaker is open may be tried; 0 if there is none.
func (a *attempt) exhausted(wait time.Duration) error {
	best := a.faults.best
	if best == nil {
		best = protocol.ErrModelUnavailable(a.job.Model, roundUp(wait))
	}
	return best
}

// timeLeft is how long ctx lasts.
func timeLeft(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return noDeadline
	}
	return time.Until(deadline)
}

// pause blocks for d or until ctx ends, then with the context's cause.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// roundUp makes a Retry-After of d: whole seconds, at least one.
func roundUp(d time.Duration) time.Duration {
	return max((d + time.Second - 1).Truncate(time.Second), time.Second)
}
