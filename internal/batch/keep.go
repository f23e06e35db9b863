package batch

import (
	"context"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

const (
	// keepTogether is how many answers are kept side by side.
	keepTogether = 64
	// keepBytes bounds what they take in memory, but for a larger one, which goes alone.
	keepBytes = 4 << 20
)

// keeper keeps the answers of lines that say "store": true as completions, while the
// files are written and so before the batch ends. To keep one again changes nothing:
// a driver that takes over does all of them once more.
type keeper struct {
	v     *drive
	ctx   context.Context //nolint:containedctx // of the call that the keeper is part of
	group *errgroup.Group
	room  *semaphore.Weighted
}

func newKeeper(ctx context.Context, v *drive) *keeper {
	k := &keeper{v: v, room: semaphore.NewWeighted(keepBytes)}
	k.group, k.ctx = errgroup.WithContext(ctx)
	k.group.SetLimit(keepTogether)
	return k
}

// add keeps the answer of request i if that asked for it. It waits for room; its error
// is one of those that were added before.
func (k *keeper) add(i int, r *jobs.Result) error {
	if !k.v.plan.at[i].store {
		return nil
	}
	size := min(int64(len(r.Body))+int64(k.v.plan.at[i].length), keepBytes)
	if err := k.room.Acquire(k.ctx, size); err != nil {
		return k.group.Wait()
	}
	k.group.Go(func() error {
		defer k.room.Release(size)
		return k.v.keep(k.ctx, i, r)
	})
	return nil
}

// wait returns when all that were added are kept, or one was not.
func (k *keeper) wait() error { return k.group.Wait() }

// keep keeps the answer of request i under the id that it has in the output file. The
// completion has the request, too, unless the input is lost by now: then there is
// none.
func (v *drive) keep(ctx context.Context, i int, r *jobs.Result) error {
	id, err := jobs.ParseJobID(protocol.AnswerID(r.Body))
	if err != nil {
		v.log.Warn("answer is not kept: it has no id", "line", v.plan.number(i), "error", err)
		return nil
	}
	line, err := v.plan.line(v.input, i)
	if err != nil && !isLost(err) {
		return err
	}
	var req *protocol.Request
	if err == nil {
		req, err = protocol.ParseBatchBody(line.Body)
	}
	if err != nil {
		v.log.Warn("answer is not kept: its request is lost", "line", v.plan.number(i), "error", err)
		return nil
	}
	err = v.d.client.KeepAnswer(ctx, &jobs.Job{
		ID: id, Tenant: v.b.Tenant, Key: v.b.Key, Model: req.Model, Pool: v.poolOf(req.Model), Class: jobs.Batch, ServiceTier: req.ServiceTier,
		Created: r.Started.Unix(), Body: req.Body, Keep: &jobs.Keep{Metadata: req.Metadata},
	}, r)
	if err == nil {
		v.d.note("keep")
	}
	return err
}

// poolOf returns the pool that serves a model now, as far as it is known.
func (v *drive) poolOf(model string) string {
	if key, _, err := v.d.access.key(v.b.Key); err == nil {
		if pool, err := v.d.access.pool(key, model); err == nil {
			return pool
		}
	}
	return v.d.cfg.DefaultPool
}
