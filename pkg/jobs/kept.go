package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/osiris/osiris/pkg/protocol"
)

// KeptStatus is where a kept job is in its life. The words are those of the API.
type KeptStatus string

// The states of a kept job. The last three are for ever.
const (
	KeptQueued    KeptStatus = "queued"
	KeptRunning   KeptStatus = "in_progress"
	KeptCompleted KeptStatus = "completed"
	KeptFailed    KeptStatus = "failed"
	KeptCancelled KeptStatus = "cancelled"
)

// Kept is a kept job as it is now.
type Kept struct {
	Job      *Job              // Body is nil unless asked for
	Metadata map[string]string // as last set; may be nil
	Status   KeptStatus
	Started  time.Time // when it first began to run; zero: not yet
	Result   *Result   // nil until it ended
	Place    *Place    // while queued, if it is known
}

// KeptOptions says what to read of a kept job.
type KeptOptions struct {
	WithBody  bool // the request as well
	SmallBody bool // the request as well, unless it is too large for one message
	Hidden    bool // a job that is kept for its idempotency key alone will do
}

// Kept returns a kept job as it is now. The error is ErrNotKept if the tenant has
// none of that id, else a *protocol.Error; it keeps trying while NATS is away,
// until ctx ends.
//
// A job that neither waits nor runs nor has ended was lost by the queue, and is
// queued again. One whose deadline passed while nobody ran it is ended.
func (cl *Client) Kept(ctx context.Context, tenant string, id ID, opt KeptOptions) (*Kept, error) {
	k, err := cl.kept(ctx, tenant, id, opt)
	return k, keptError("read kept job", err)
}

func (cl *Client) kept(ctx context.Context, tenant string, id ID, opt KeptOptions) (*Kept, error) {
	k, rec, err := cl.conn.readKept(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	if rec.job.Keep.Hidden && !opt.Hidden {
		return nil, ErrNotKept
	}
	if k.Result == nil {
		if err := cl.locate(ctx, k, rec); err != nil {
			return nil, err
		}
	}
	switch {
	case !opt.WithBody && !opt.SmallBody:
		k.Job.Body = nil
	case opt.WithBody && rec.ref != nil:
		if k.Job.Body, err = cl.conn.loadBody(ctx, *rec.ref); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// readKept reads what is stored of a kept job. Its error is ErrNotKept for one that
// was deleted.
func (c *Conn) readKept(ctx context.Context, tenant string, id ID) (*Kept, *record, error) {
	if !validToken(tenant) {
		return nil, nil, ErrNotKept
	}
	var (
		rec      *record
		result   *Result
		metadata *map[string]string
	)
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		rec, err = c.readRecord(gctx, tenant, id)
		return err
	})
	group.Go(func() (err error) {
		metadata, err = c.readMetadata(gctx, tenant, id)
		return err
	})
	group.Go(func() (err error) {
		result, err = c.resultIfAny(gctx, tenant, id)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	k := &Kept{Job: rec.job, Metadata: rec.job.Keep.Metadata, Status: KeptQueued}
	if metadata != nil {
		k.Metadata = *metadata
	}
	if result != nil {
		return k, rec, k.end(result)
	}
	return k, rec, nil
}

// end makes k a job that ended with r.
func (k *Kept) end(r *Result) error {
	switch r.Status {
	case Completed:
		k.Status = KeptCompleted
	case Errored:
		k.Status = KeptFailed
	case Cancelled:
		k.Status = KeptCancelled
	case Deleted:
		return ErrNotKept
	}
	k.Result, k.Place = r, nil
	if !r.Started.IsZero() {
		k.Started = r.Started
	}
	return nil
}

// resultIfAny returns the result of a completion, or nil while there is none.
func (c *Conn) resultIfAny(ctx context.Context, tenant string, id ID) (*Result, error) {
	r, err := c.Result(ctx, tenant, hourOf(id), id.String())
	if errors.Is(err, ErrNotKept) {
		return nil, nil
	}
	return r, err
}

// keptError makes an error of this package one that its caller may show.
func keptError(operation string, err error) error {
	switch {
	case err == nil, errors.Is(err, ErrNotKept), errors.Is(err, ErrEventsGone), errors.Is(err, ErrClosed):
		return err
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", operation, err)
	}
	if perr, ok := errors.AsType[*protocol.Error](err); ok {
		return perr
	}
	return unavailable(fmt.Errorf("%s: %w", operation, err))
}
