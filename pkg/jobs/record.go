package jobs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/protocol"
)

// The record of a kept job is the job's own message, stored under the job's name
// before the job is published: whoever finds a record and neither a result nor a
// job publishes the job again.

// ErrSubmitted says that a kept job of this id was submitted before: Follow has its
// events.
var ErrSubmitted = errors.New("job was submitted before")

// recorded reports whether the job has a record; a line has its batch instead.
func (j *Job) recorded() bool { return j.Keep != nil && !j.isLine() }

// putRecord stores the record, unless it is there: then the job is submitted again
// by somebody who joins it, and own is false. The error is a *protocol.Error.
func (c *Conn) putRecord(ctx context.Context, job *Job, payload []byte) (own bool, err error) {
	own, err = c.putFirst(ctx, "store record", c.n.keptStream(), labelled(c.n.recordOf(job), payload, recordLabel(job)), job.keptTTL())
	switch {
	case err == nil:
		return own, nil
	case hasCode(err, codeStreamFull), hasCode(err, codeInsufficient):
		return false, protocol.ErrUnavailable("The queue has no room to keep this request. Please try again later.", time.Minute).Wrap(err)
	}
	return false, unavailable(err)
}

// publishJob puts a job into the queue and waits until it is stored; one that is
// there already is as good.
func (c *Conn) publishJob(ctx context.Context, job *Job, payload []byte) error {
	subject := c.n.job(job.Class, job.Pool, job.Tenant, job.ID)
	tried := false
	err := c.persist(ctx, "publish job", func(ctx context.Context) error {
		if tried {
			markRepeat(payload)
		}
		tried = true
		_, err := c.js.Publish(ctx, subject, payload, jetstream.WithExpectStream(c.n.jobsStream(job.Class)))
		return err
	})
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == errCodeStoreFailed && strings.Contains(api.Description, "per subject") {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("publish job: %w", err)
	}
	_ = c.nc.Publish(c.n.hint(job.Pool), nil) // without it the job waits a little longer
	return nil
}

// markRepeat sets keepRepeat in the message of a kept job, in place.
func markRepeat(payload []byte) {
	n := binary.LittleEndian.Uint32(payload[1:])
	_ = fields(payload[5:5+n], func(tag byte, v []byte) {
		if tag == jobKeep { // below 128, so one byte
			v[0] |= keepRepeat
		}
	})
}

// SubmitBackground puts a job into the queue that nobody waits for, and returns
// when it is stored there. An error is a *protocol.Error; then nothing was accepted.
func (cl *Client) SubmitBackground(ctx context.Context, job *Job) error {
	if err := cl.admit(job); err != nil {
		return err
	}
	payload, _, err := cl.encode(ctx, job)
	if err != nil {
		return err
	}
	own, err := cl.conn.putRecord(ctx, job, payload)
	if err != nil {
		cl.takeBack(job)
		return err
	}
	err = cl.conn.publishJob(ctx, job, payload)
	full := hasCode(err, codeStreamFull)
	switch {
	case err == nil:
		return nil
	case full && own:
		cl.withdrawRecord(job.Tenant, job.ID)
	case !full:
		cl.takeBack(job)
	}
	if full {
		return protocol.ErrOverloaded(cl.depth.retryAfter(poolClass{job.Pool, job.Class})).Wrap(err)
	}
	return unavailable(err)
}

// takeBack removes a job that its client takes for refused, and that may be stored
// all the same. One with an idempotency key stays: another request may have made it,
// and the next one takes it up.
func (cl *Client) takeBack(job *Job) {
	if !job.recorded() || job.Keep.Repeat {
		return
	}
	cl.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := errors.Join(cl.conn.purge(ctx, cl.conn.n.keptStream(), cl.conn.n.keptAll(job.Tenant, job.ID)), cl.conn.withdraw(ctx, job))
		if err != nil {
			cl.log.Warn("refused job may be stored all the same", "job_id", job.ID.String(), "error", err)
		}
	})
}

// withdrawRecord removes the record of a job that was not accepted.
func (cl *Client) withdrawRecord(tenant string, id ID) {
	cl.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := cl.conn.purge(ctx, cl.conn.n.keptStream(), cl.conn.n.keptAll(tenant, id)); err != nil {
			cl.log.Warn("record of a refused job stays until it expires", "job_id", id.String(), "error", err)
		}
	})
}
