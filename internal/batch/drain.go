package batch

import (
	"context"
	"time"
)

// drainPoll is how often lines are looked for that run for a driver that is gone.
const drainPoll = 500 * time.Millisecond

// drain lets the lines of a cancelled batch end that a driver before this one
// submitted and a worker runs, within what is left of the time for it. Those that
// nobody runs yet are taken out of the queue.
func (v *drive) drain(ctx context.Context) error {
	end := time.Unix(v.b.Object.CancellingAt+1, 0).Add(v.d.cfg.Drain)
	for !v.progress.over() && time.Now().Before(end) {
		running, err := v.d.client.RecallLines(ctx, v.b.Tenant, v.b.Object.ID)
		if err != nil {
			return err
		}
		if err := v.resync(ctx); err != nil { // after: a job goes only once its result is there
			return err
		}
		if err := v.count(ctx); err != nil {
			return err
		}
		if running == 0 {
			return nil
		}
		sleep(ctx, min(drainPoll, time.Until(end)))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}
