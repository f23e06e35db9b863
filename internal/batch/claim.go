package batch

import (
	"context"
	"errors"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// claim makes this turn the only one that may write: it raises the fence. The first
// turn of a batch also finds its input and holds it.
func (v *drive) claim(ctx context.Context) error {
	for began := time.Now(); ; {
		b, err := v.d.conn.Batch(ctx, v.run.Tenant, v.run.Batch)
		if errors.Is(err, jobs.ErrNoBatch) && time.Since(began) < creating && ctx.Err() == nil {
			sleep(ctx, creating/100)
			continue
		}
		if err != nil {
			return err
		}
		if v.b = b; b.Object.Status.Ended() {
			return nil
		}
		if b.Input == nil {
			if err := v.d.conn.HoldInput(ctx, b); err != nil {
				return err
			}
			if b.Input != nil {
				v.d.note("hold")
			}
		}
		b.Fence++
		b.Driver = v.d.cfg.ID
		err = v.d.conn.WriteBatch(ctx, b)
		if errors.Is(err, jobs.ErrBatchMoved) {
			continue
		}
		if err == nil {
			v.d.note("claim")
		}
		return err
	}
}

// creating is how long a batch may come after its run.
const creating = 2 * time.Second

// update changes the batch and stores it, unless change reports that there is
// nothing to do. What others wrote meanwhile is read and changed anew; errReplaced
// ends this turn.
func (v *drive) update(ctx context.Context, what string, change func(b *protocol.Batch) bool) error {
	return v.write(ctx, what, func(b *jobs.StoredBatch) bool { return change(&b.Object) })
}

// write is update for what clients do not see.
func (v *drive) write(ctx context.Context, what string, change func(b *jobs.StoredBatch) bool) error {
	for {
		next := *v.b
		if !change(&next) {
			return nil
		}
		err := v.d.conn.WriteBatch(ctx, &next)
		if err == nil {
			v.b = &next
			v.d.note(what)
			return nil
		}
		if !errors.Is(err, jobs.ErrBatchMoved) {
			return err
		}
		if err := v.reload(ctx); err != nil {
			return err
		}
	}
}

// reload reads what others may have written.
func (v *drive) reload(ctx context.Context) error {
	b, err := v.d.conn.Batch(ctx, v.run.Tenant, v.run.Batch)
	if err != nil {
		return err
	}
	if b.Fence != v.b.Fence {
		return errReplaced
	}
	v.b = b
	return nil
}
