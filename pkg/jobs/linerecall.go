package jobs

import (
	"context"
	"errors"
	"fmt"
)

// LinesQueued returns the ids of a batch's lines that are queued or running, whichever
// driver submitted them. Lines of another batch of the same tenant and millisecond
// may be among them.
func (c *Conn) LinesQueued(ctx context.Context, tenant, batch string) (map[ID]struct{}, error) {
	batchID, err := parseBatchID(batch)
	if err != nil {
		return nil, fmt.Errorf("list lines: %w", err)
	}
	queued := map[ID]struct{}{}
	err = c.eachSubject(ctx, c.n.jobsStream(Batch), c.n.lines(tenant, "*"), func(subject string) {
		id, err := ParseID(subject[lastToken(subject):])
		if err == nil && id.Time().Equal(batchID.Time()) {
			queued[id] = struct{}{}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list lines: %w", err)
	}
	return queued, nil
}

// RevokeLines takes every line of a batch that is still queued or running out of the
// queue, whichever driver submitted it, and tells the workers. It stores nothing:
// each line must have its result by then.
func (cl *Client) RevokeLines(ctx context.Context, tenant, batch string) error {
	_, err := cl.revokeLines(ctx, tenant, batch, false)
	return err
}

// RecallLines does so for the lines that no worker was handed yet, and returns how
// many others there are. A worker may be handed one at that moment: it is told.
func (cl *Client) RecallLines(ctx context.Context, tenant, batch string) (running int, err error) {
	return cl.revokeLines(ctx, tenant, batch, true)
}

func (cl *Client) revokeLines(ctx context.Context, tenant, batch string, waitingOnly bool) (left int, err error) {
	queued, err := cl.conn.LinesQueued(ctx, tenant, batch)
	if err != nil {
		return 0, fmt.Errorf("revoke lines: %w", err)
	}
	handedOut := map[string]uint64{} // by pool: the last job that was
	for id := range queued {
		m, err := cl.conn.leaderGet(ctx, cl.conn.n.jobsStream(Batch), question{LastFor: cl.conn.n.lines(tenant, id.String())})
		if errors.Is(err, errNotStored) {
			continue
		}
		if err != nil {
			return left, fmt.Errorf("revoke lines: %w", err)
		}
		job, _, _, err := decodeJob(m.Data)
		if err != nil || !job.isLine() || job.Keep.Batch != batch {
			continue
		}
		if waitingOnly {
			last, known := handedOut[job.Pool]
			if !known {
				info, err := cl.conn.consumerInfo(ctx, poolClass{job.Pool, Batch})
				if err != nil {
					return left, fmt.Errorf("revoke lines: %w", err)
				}
				last = info.Delivered.Stream
				handedOut[job.Pool] = last
			}
			if m.Seq <= last {
				left++
				continue
			}
		}
		if err := cl.Revoke(job); err != nil {
			return left, fmt.Errorf("revoke lines: %w", err)
		}
	}
	return left, nil
}
