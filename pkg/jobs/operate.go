package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/protocol"
)

// What an operator does to single jobs.

var (
	// ErrEnded says that a job has ended already.
	ErrEnded = errors.New("the job has ended")
	// ErrNotFailed says that a job is not to be retried: it did not fail.
	ErrNotFailed = errors.New("the job has not failed")
	// ErrBatchLine says that a job is a line of a batch, which alone decides about it.
	ErrBatchLine = errors.New("the job is a line of a batch")
)

// errByOperator is what the client of a cancelled job is told.
func errByOperator() *protocol.Error {
	return &protocol.Error{
		Status: http.StatusServiceUnavailable, Type: "server_error", Code: "cancelled", NoRetry: true,
		Message: "The request was cancelled by an operator.",
	}
}

// CancelJob ends a job whoever it belongs to: a kept one as its owner could, a plain
// one with an error for its client. The error is ErrUnknownJob, ErrEnded or
// ErrBatchLine, or that of NATS.
func (cl *Client) CancelJob(ctx context.Context, id ID) error {
	c := cl.conn
	rec, err := c.findRecord(ctx, id)
	if err != nil {
		return fmt.Errorf("cancel job: %w", err)
	}
	if rec != nil {
		if err := cl.cancelRecorded(ctx, rec); err != nil {
			return fmt.Errorf("cancel job: %w", err)
		}
		return nil
	}
	queued, _, err := c.findQueued(ctx, id)
	switch {
	case err != nil:
		return fmt.Errorf("cancel job: %w", err)
	case queued == nil:
		return fmt.Errorf("cancel job: %w", ErrUnknownJob)
	case queued.job.isLine():
		return fmt.Errorf("cancel job: %w: line %d of %s", ErrBatchLine, queued.job.Keep.Line, queued.job.Keep.Batch)
	}
	// Its frontend tells the client; without one the rest has to do.
	err = errors.Join(c.nc.Publish(c.n.abort(), id[:]), c.withdraw(ctx, queued.job))
	if err != nil {
		return fmt.Errorf("cancel job: %w", err)
	}
	return nil
}

// cancelRecorded ends a kept job, also one that is hidden from its owner.
func (cl *Client) cancelRecorded(ctx context.Context, rec *record) error {
	r, err := cl.conn.resultIfAny(ctx, rec.job.Tenant, rec.job.ID)
	if err != nil {
		return err
	}
	if r == nil {
		seen, err := cl.conn.sight(ctx, rec)
		if err != nil {
			return err
		}
		r, err = cl.conclude(ctx, rec, &Result{Status: Cancelled, Started: seen.began, Ended: time.Now()})
		if err != nil {
			return err
		}
	}
	switch r.Status {
	case Cancelled:
		return nil
	case Deleted:
		return ErrUnknownJob
	case Completed, Errored:
	}
	return fmt.Errorf("%w: it is %s", ErrEnded, stateOfResult(r.Status))
}

// onAbort ends the stream of a job that an operator cancelled.
func (cl *Client) onAbort(m *nats.Msg) {
	if len(m.Data) != len(ID{}) {
		return
	}
	if s := cl.stream(ID(m.Data)); s != nil && !s.kept {
		s.fail(errByOperator())
	}
}

// RetryJob submits a kept job again that has failed, under its id and with all of its
// time: as if it had never run. What its readers were told of the failure stays with
// them. The error is ErrUnknownJob, ErrNotKept for a plain job, of which nothing is
// stored to be run again, ErrBatchLine or ErrNotFailed.
//
// Broken off anywhere it leaves a failed job that can be retried, or one without a
// result, which is queued again by whoever looks at it.
func (c *Conn) RetryJob(ctx context.Context, id ID) error {
	rec, err := c.findRecord(ctx, id)
	if err == nil && rec == nil {
		return fmt.Errorf("retry job: %w", c.whyNoRecord(ctx, id))
	}
	if err == nil {
		err = c.retry(ctx, rec)
	}
	if err != nil {
		return fmt.Errorf("retry job: %w", err)
	}
	return nil
}

// whyNoRecord says why nothing is stored of a job by which it could run again.
func (c *Conn) whyNoRecord(ctx context.Context, id ID) error {
	h, err := c.JobHistory(ctx, id)
	switch {
	case err != nil:
		return err
	case h.Batch != "":
		return fmt.Errorf("%w: line %d of %s", ErrBatchLine, h.Line, h.Batch)
	case h.Class == Batch:
		return ErrBatchLine
	}
	return ErrNotKept
}

// awaitGone returns when a job that has ended has left the queue, which is a moment
// later: what is published before that would be taken for the ended one.
func (c *Conn) awaitGone(ctx context.Context, j *Job) error {
	ctx, cancel := context.WithTimeoutCause(ctx, goneWait, errors.New("it has ended only just now: try again in a minute"))
	defer cancel()
	for {
		_, err := c.leaderGet(ctx, c.n.jobsStream(j.Class), question{LastFor: c.n.job(j.Class, j.Pool, j.Tenant, j.ID)})
		if err != nil {
			return unlessNotStored(err)
		}
		select {
		case <-time.After(goneLook):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

const (
	goneWait = 5 * time.Second
	goneLook = 50 * time.Millisecond
)

func (c *Conn) retry(ctx context.Context, rec *record) error {
	group, name := rec.job.resultName()
	subject := c.n.result(rec.job.Tenant, group, name)
	m, err := c.leaderGet(ctx, c.n.resultsStream(), question{LastFor: subject})
	if errors.Is(err, errNotStored) {
		return fmt.Errorf("%w: it waits or runs", ErrNotFailed)
	}
	if err != nil {
		return err
	}
	result, _, err := decodeResult(m.Data)
	switch {
	case err != nil:
		return err
	case result.Status == Deleted:
		return ErrUnknownJob
	case result.Status != Errored:
		return fmt.Errorf("%w: it is %s", ErrNotFailed, stateOfResult(result.Status))
	}
	if err := c.awaitGone(ctx, rec.job); err != nil {
		return err
	}
	keep := *rec.job.Keep
	keep.Repeat = true
	job := *rec.job
	job.Keep = &keep
	payload, err := encodeJob(nil, rec.frontend, &job, rec.ref)
	if err != nil {
		return err
	}
	// The record's time begins the job's, so it is written anew. Both writes fail if
	// the job is deleted meanwhile: it does not come back.
	if err := c.renewRecord(ctx, rec, payload); err != nil {
		return err
	}
	if err := c.purge(ctx, c.n.replayStream(), c.n.replay(job.ID)); err != nil {
		return err
	}
	if err := c.dropResult(ctx, subject, m.Seq); err != nil {
		return err
	}
	return c.publishJob(ctx, &job, payload)
}

// renewRecord replaces a record that nobody touched since it was read.
func (c *Conn) renewRecord(ctx context.Context, rec *record, payload []byte) error {
	subject := c.n.recordOf(rec.job)
	options := []jetstream.PublishOpt{
		jetstream.WithExpectStream(c.n.keptStream()), jetstream.WithExpectLastSequencePerSubject(rec.seq),
	}
	if ttl := rec.job.keptTTL(); ttl > 0 {
		options = append(options, jetstream.WithMsgTTL(ttl))
	}
	return c.persist(ctx, "renew record", func(ctx context.Context) error {
		_, err := c.js.PublishMsg(ctx, labelled(subject, payload, recordLabel(rec.job)), options...)
		if !refusedAsTaken(err) {
			return err
		}
		m, err := c.leaderGet(ctx, c.n.keptStream(), question{LastFor: subject})
		switch {
		case errors.Is(err, errNotStored):
			return ErrUnknownJob
		case err != nil:
			return err
		case bytes.Equal(m.Data, payload): // it arrived, its ack did not
			return nil
		case m.Seq == rec.seq:
			return errRace // a cluster refuses while another write is under way
		}
		return fmt.Errorf("%w: somebody else retries it", ErrNotFailed)
	})
}

// dropResult removes one result, and nothing that took its place.
func (c *Conn) dropResult(ctx context.Context, subject string, seq uint64) error {
	return c.persist(ctx, "drop result", func(ctx context.Context) error {
		stream, err := c.js.Stream(ctx, c.n.resultsStream())
		if err != nil {
			return err
		}
		err = stream.DeleteMsg(ctx, seq)
		if err == nil || transient(err) {
			return err
		}
		_, left := c.leaderGet(ctx, c.n.resultsStream(), question{LastFor: subject})
		switch {
		case errors.Is(left, errNotStored): // removed before, and the answer was lost
			return nil
		case left == nil:
			return ErrUnknownJob // a tombstone
		}
		return left
	})
}
