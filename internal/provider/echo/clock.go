package echo

import (
	"context"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
)

// forever is longer than any call.
const forever = time.Duration(1<<63 - 1)

// clock passes time as a model server does, under the limits of a call.
type clock struct {
	limits  provider.Limits
	total   upstream.Phase // what the overall limit is called
	ends    time.Time      // zero: no overall limit
	started bool           // the first token was said
}

func newClock(req *provider.Request) clock {
	c := clock{limits: req.Limits, total: upstream.PhaseTotal}
	if !req.Stream {
		// Nobody sees the tokens of a plain answer: one wait for all of it.
		if c.limits.Total == 0 {
			c.limits.Total, c.total = c.limits.FirstToken, upstream.PhaseFirstToken
		}
		c.limits.FirstToken, c.limits.Idle = 0, 0
	}
	if c.limits.Total > 0 {
		c.ends = time.Now().Add(c.limits.Total)
	}
	return c
}

// pass waits for d, or less if ctx ends or a limit is reached: then it says why.
func (c *clock) pass(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	phase, limit := upstream.PhaseFirstToken, c.limits.FirstToken
	if c.started {
		phase, limit = upstream.PhaseIdle, c.limits.Idle
	}
	wait := d
	if limit > 0 {
		wait = min(wait, limit)
	}
	if !c.ends.IsZero() {
		if left := time.Until(c.ends); left <= wait {
			wait, phase, limit = left, c.total, c.limits.Total
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
	}
	if wait < d {
		return upstream.TimedOut(&upstream.TimeoutError{Phase: phase, Limit: limit}, c.started)
	}
	return nil
}
