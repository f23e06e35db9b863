package batch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// settleTogether is how many results are written side by side.
const settleTogether = 64

// settle gives every line that has no result one. From then on the batch's files follow from what is stored, whoever writes them: a line that a worker still
// runs comes too late.
func (v *drive) settle(ctx context.Context, result func(i int) *jobs.Result) error {
	missing := map[int]*jobs.Result{}
	v.progress.missing(func(i int) { missing[i] = result(i) })
	var mu sync.Mutex // guards progress, which nobody else uses meanwhile
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(settleTogether)
	for i, r := range missing {
		group.Go(func() error {
			completed, err := v.put(gctx, i, r)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				v.finished(i, completed)
			}
			return err
		})
	}
	return group.Wait()
}

// finish writes the files of a batch whose lines all have results, and ends it.
func (v *drive) finish(ctx context.Context) error {
	if !v.progress.over() {
		return nil // cancelled meanwhile: another step
	}
	if !v.expired {
		err := v.update(ctx, "finalize", func(b *protocol.Batch) bool {
			if !b.Finalize(time.Now()) {
				return false
			}
			b.Count(v.progress.completed, v.progress.failed)
			return true
		})
		if err != nil {
			return err
		}
	}
	o, whole, err := v.writeFiles(ctx)
	if err != nil {
		return err
	}
	if !whole {
		if err := v.reload(ctx); err != nil { // whoever replaced this turn may have purged them
			return err
		}
		v.log.Error("results are missing and made again")
		v.next = 0 // progress is made of what is there
		return nil
	}
	return v.update(ctx, "end", func(b *protocol.Batch) bool { return b.End(o, time.Now()) })
}

// noticeOf is the event that tells of each way to end.
func noticeOf(s protocol.BatchStatus) string {
	switch s {
	case protocol.BatchFailed:
		return jobs.NoticeBatchFailed
	case protocol.BatchExpired:
		return jobs.NoticeBatchExpired
	case protocol.BatchCancelled:
		return jobs.NoticeBatchCancelled
	}
	return jobs.NoticeBatchCompleted
}

// bury removes what an ended batch needs no longer. Everything in it can be done
// again, by whoever gets the lease after this turn.
func (v *drive) bury(ctx context.Context) error {
	o, c := &v.b.Object, v.d.conn
	if err := c.Notify(ctx, v.b.Tenant, jobs.Notice{Type: noticeOf(o.Status), ObjectID: o.ID}); err != nil {
		return err
	}
	v.d.note("notify")
	// Also of a batch that was completed: a line may be queued under several tries, and
	// the result of one that ends from here on would stay.
	if err := v.d.client.RevokeLines(ctx, v.b.Tenant, o.ID); err != nil {
		return err
	}
	if err := c.PurgeLineResults(ctx, v.b.Tenant, o.ID); err != nil {
		return err
	}
	v.d.note("purge")
	if v.b.Input != nil {
		if err := c.ReleaseFile(ctx, *v.b.Input, o.ID); err != nil {
			return err
		}
		v.d.note("release")
	}
	if err := v.run.Done(ctx); err != nil {
		return fmt.Errorf("give the lease back: %w", err)
	}
	v.d.metrics.ended.WithLabelValues(string(o.Status)).Inc()
	v.log.Info("batch ended", "tenant", v.b.Tenant, "status", o.Status,
		"total", o.Counts.Total, "completed", o.Counts.Completed, "failed", o.Counts.Failed)
	return nil
}
