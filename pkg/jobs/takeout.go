package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// takeOut deletes a job's message, if it is there, and returns when that is done.
//
// It does so by the message's number. To purge its subject would take one step less,
// but broker 2.15 then stores a wrong state of the pool's consumer: jobs that were
// handed out at that moment are never handed out again once the server was killed
// (TestCancelledBeforeKill).
func (c *Conn) takeOut(ctx context.Context, class Class, subject string) error {
	m, err := c.leaderGet(ctx, c.n.jobsStream(class), question{LastFor: subject})
	if errors.Is(err, errNotStored) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take job out of the queue: %w", err)
	}
	return c.deleteJob(ctx, class, m.Seq)
}

// deleteJob deletes the message with this number.
func (c *Conn) deleteJob(ctx context.Context, class Class, seq uint64) error {
	err := c.persist(ctx, "take job out of the queue", func(ctx context.Context) error {
		m, err := c.nc.RequestWithContext(ctx, c.apiPrefix+"STREAM.MSG.DELETE."+c.n.jobsStream(class), deletion(seq))
		if err != nil {
			return err
		}
		var answer struct {
			Error *jetstream.APIError `json:"error"`
		}
		if err := json.Unmarshal(m.Data, &answer); err != nil {
			return err
		}
		if answer.Error == nil || isGone(answer.Error) {
			return nil
		}
		return answer.Error
	})
	if err != nil {
		return fmt.Errorf("take job out of the queue: %w", err)
	}
	return nil
}

// isGone tells the refusal to delete a message that is gone already. A cluster has
// one code for every failure there, so its words decide.
func isGone(err *jetstream.APIError) bool {
	const noSuchSequence, deleteFailed jetstream.ErrorCode = 10043, 10057
	return err.ErrorCode == noSuchSequence || err.ErrorCode == deleteFailed && strings.Contains(err.Description, "no message found")
}

func deletion(seq uint64) []byte { return fmt.Appendf(nil, `{"seq":%d,"no_erase":true}`, seq) }
