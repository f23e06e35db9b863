package jobs

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	// beingSubmitted is how long a job may take from its record to the queue, while
	// the frontend lives that submits it.
	beingSubmitted = 5 * time.Second
	// secondLook is the pause before a job that was not found is looked for again.
	secondLook = 250 * time.Millisecond
	// stillHeard is how long after its last stored event a job that the queue does
	// not know may still be running.
	stillHeard = 15 * time.Second
	// overdue is given to whoever may be about to end a job at its deadline.
	overdue = time.Second
)

// sighting is what is stored of a kept job that has no result.
type sighting struct {
	queued uint64    // its message in the queue, where it is until it ended; 0: it is not there
	began  time.Time // its first event was stored
	heard  time.Time // its last event was
	pauses bool      // its last attempt came to nothing, and the next one has not begun
}

// locate finds out where a kept job is that has no result: it waits, it runs, it
// ended meanwhile, or it was lost.
func (cl *Client) locate(ctx context.Context, k *Kept, rec *record) error {
	for again := false; ; again = true {
		seen, err := cl.conn.sight(ctx, rec)
		if err != nil {
			return err
		}
		k.Status, k.Started = KeptQueued, seen.began
		if !seen.began.IsZero() && !seen.pauses {
			k.Status = KeptRunning
		}
		if ended, err := cl.expire(ctx, k, rec); ended || err != nil {
			return err
		}
		if seen.queued != 0 {
			if seen.began.IsZero() {
				cl.place(ctx, k, rec, seen.queued)
			}
			return nil
		}
		// It ended between two of the reads, or is lost.
		r, err := cl.conn.resultIfAny(ctx, rec.job.Tenant, rec.job.ID)
		if err != nil {
			return err
		}
		if r != nil {
			return k.end(r)
		}
		if time.Since(seen.heard).Abs() < stillHeard {
			return nil
		}
		if time.Since(rec.stored).Abs() < beingSubmitted && !cl.conn.nobodyAt(ctx, cl.conn.n.wanted(rec.frontend)) {
			return nil // whoever wrote the record lives, and is about to publish
		}
		if again {
			err := cl.conn.submitAgain(ctx, rec)
			if hasCode(err, codeStreamFull) { // done once there is room and somebody asks
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(secondLook):
		}
	}
}

// sight looks for a job in the queue and among the stored events.
func (c *Conn) sight(ctx context.Context, rec *record) (s sighting, err error) {
	j := rec.job
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		m, err := c.leaderGet(gctx, c.n.jobsStream(j.Class), question{LastFor: c.n.job(j.Class, j.Pool, j.Tenant, j.ID)})
		if err == nil {
			s.queued = m.Seq
		}
		return unlessNotStored(err)
	})
	var first, last *stored
	group.Go(func() (err error) {
		first, err = c.leaderGet(gctx, c.n.replayStream(), question{Seq: 1, NextFor: c.n.replay(j.ID)})
		return unlessNotStored(err)
	})
	group.Go(func() (err error) {
		last, err = c.leaderGet(gctx, c.n.replayStream(), question{LastFor: c.n.replay(j.ID)})
		return unlessNotStored(err)
	})
	if err := group.Wait(); err != nil {
		return sighting{}, err
	}
	if first != nil && last != nil {
		s.began, s.heard = first.Time, last.Time
		m, err := decodeReplay(last.Data)
		if err != nil {
			return sighting{}, err
		}
		s.pauses = m.kind == replayGaveUp
	}
	return s, nil
}

func unlessNotStored(err error) error {
	if errors.Is(err, errNotStored) {
		return nil
	}
	return err
}

// expire ends a job whose deadline passed while nobody ran it, and reports whether
// it has ended. Whoever runs it keeps the deadline himself, so he is given the time
// that it takes to find out that he is gone.
func (cl *Client) expire(ctx context.Context, k *Kept, rec *record) (ended bool, err error) {
	end := rec.deadline()
	if end.IsZero() {
		return false, nil
	}
	end = end.Add(overdue)
	if k.Status == KeptRunning {
		end = end.Add(2 * cl.conn.cfg.AckWait)
	}
	if time.Now().Before(end) {
		return false, nil
	}
	skew, err := cl.conn.clockSkew(ctx)
	if err != nil || time.Now().Add(skew).Before(end) {
		return false, err
	}
	r := &Result{
		Status: Errored, Started: k.Started, Ended: time.Now().Add(skew),
		Error: protocol.ErrTimeout("The request was not answered before its deadline."),
	}
	if r, err = cl.conclude(ctx, rec, r); err != nil {
		return false, err
	}
	return true, k.end(r)
}

// conclude gives a job its result, unless it has one, takes it out of the queue and
// stops whoever runs it. It returns the result that stands.
func (cl *Client) conclude(ctx context.Context, rec *record, r *Result) (*Result, error) {
	j, c := rec.job, cl.conn
	group, name := j.resultName()
	won, err := c.PutResult(ctx, j.Tenant, group, name, r, j.keptTTL())
	if err != nil {
		return nil, err
	}
	if !won {
		if r, err = c.Result(ctx, j.Tenant, group, name); err != nil {
			return nil, err
		}
		return r, nil
	}
	if j.Keep.Background { // first: while the job is queued, a worker would find the result and tell of it
		cl.notify(ctx, j, r)
	}
	if err := c.withdraw(ctx, j); err != nil {
		// Harmless: a worker that takes it finds the result.
		cl.log.Warn("ended job stays in the queue", "job_id", j.ID.String(), "error", err)
	}
	return r, nil
}

// notify tells webhooks of the end of a background job.
func (cl *Client) notify(ctx context.Context, j *Job, r *Result) {
	kind := NoticeChatFailed
	if r.Status == Cancelled {
		kind = NoticeChatCancelled
	}
	err := cl.conn.Notify(ctx, j.Tenant, Notice{Type: kind, Created: r.Ended, ObjectID: "chatcmpl-" + j.ID.String()})
	if err != nil {
		cl.log.Error("webhooks are not told", "job_id", j.ID.String(), "type", kind, "error", err)
	}
}

// withdraw takes a job out of the queue and tells whoever runs it, always both:
// workers never learn from the broker that a job was deleted.
func (c *Conn) withdraw(ctx context.Context, j *Job) error {
	f := frame{job: j.ID, kind: ctlRevoke}
	told := c.nc.Publish(c.n.cancel(), appendFrame([]byte{frameVersion}, &f))
	return errors.Join(told, c.takeOut(ctx, j.Class, c.n.job(j.Class, j.Pool, j.Tenant, j.ID)))
}

// resubmit puts a kept job that the queue lost into it again, unless it is there
// after all. Whoever takes it looks for a result first.
func (c *Conn) resubmit(ctx context.Context, tenant string, id ID) error {
	rec, err := c.readRecord(ctx, tenant, id)
	if err != nil {
		return err
	}
	return c.submitAgain(ctx, rec)
}

// submitAgain does so for what is left of the job's time.
func (c *Conn) submitAgain(ctx context.Context, rec *record) error {
	job, keep := *rec.job, *rec.job.Keep
	keep.Repeat, job.Keep = true, &keep
	if end := rec.deadline(); !end.IsZero() {
		job.Timeout = max(time.Until(end), time.Second)
	}
	payload, err := encodeJob(nil, rec.frontend, &job, rec.ref)
	if err != nil {
		return err
	}
	c.log.Warn("kept job was lost and is queued again", "job_id", job.ID.String())
	return c.publishJob(ctx, &job, payload)
}
