package jobs

import (
	"context"
)

// begunJobs are the jobs that have begun to run, ended or not, as far as their events
// are stored; nil: it is not known which.
type begunJobs map[ID]struct{}

// begunLeast is how many jobs that have not ended a list looks at one by one: of more,
// it asks at once which have begun.
const begunLeast = 128

// selects reports whether a job that has not ended may have the status: it is queued
// until its first event is stored, and again between two attempts.
func (b begunJobs) selects(id ID, status KeptStatus) bool {
	if b == nil || status != KeptRunning {
		return true
	}
	_, begun := b[id]
	return begun
}

// begun returns the jobs that have begun, by the leader's word, if the list would have
// to look for many; else nil.
func (cl *Client) begun(ctx context.Context, x *keptIndex, q *KeptQuery) (begunJobs, error) {
	if q.Status != KeptRunning {
		return nil, nil
	}
	if err := x.lock(ctx); err != nil {
		return nil, err
	}
	many := len(x.after(q, nil, q.After, begunLeast)) == begunLeast
	x.unlock()
	if !many {
		return nil, nil
	}
	b := begunJobs{}
	err := cl.conn.eachSubject(ctx, cl.conn.n.replayStream(), cl.conn.n.replayFilter(), func(subject string) {
		if id, err := ParseID(subject[lastToken(subject):]); err == nil {
			b[id] = struct{}{}
		}
	})
	return b, err
}
