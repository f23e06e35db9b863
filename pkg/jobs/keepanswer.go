package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// keptAnswerTimeout is over long before anybody could miss the result of an answer
// that was kept: a record that outlives its result by a moment is not run again.
const keptAnswerTimeout = time.Minute

// KeepAnswer keeps an answer that is there already, such as that of a batch's line, as
// the completion of job, whose Keep says with which metadata. Nothing is queued. To do
// so again changes nothing, whether it came to its end or not, and one that was deleted
// meanwhile stays so. It keeps trying while NATS is away, until ctx ends.
//
// The result comes first: a record without one would be taken for a job to be run.
func (cl *Client) KeepAnswer(ctx context.Context, job *Job, r *Result) error {
	group, name := job.resultName()
	won, err := cl.conn.PutResult(ctx, job.Tenant, group, name, r, 0)
	if err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	if !won { // an earlier try got as far as this, or further
		there, err := cl.conn.Result(ctx, job.Tenant, group, name)
		if err != nil {
			return fmt.Errorf("keep answer: %w", err)
		}
		if there.Status == Deleted {
			return nil
		}
		if _, err := cl.conn.readRecord(ctx, job.Tenant, job.ID); !errors.Is(err, ErrNotKept) {
			return err
		}
	}
	kept := *job
	kept.Timeout = keptAnswerTimeout
	payload, _, err := cl.encode(ctx, &kept)
	if err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	if _, err := cl.conn.putRecord(ctx, &kept, payload); err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}
