package jobs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/protocol"
)

// The record of a kept job is the job's own message, stored under the job's name
// before the job counts as accepted: whoever finds a record and neither a result nor a
// job publishes the job again. A job without a record was not accepted.

// ErrSubmitted says that a kept job of this id was submitted before: Follow has its
// events.
var ErrSubmitted = errors.New("job was submitted before")

// recorded reports whether the job has a record; a line has its batch instead.
func (j *Job) recorded() bool { return j.Keep != nil && !j.isLine() }

// putRecord stores the record, unless it is there: then the job is submitted again
// by somebody who joins it, and own is false. The error is a *protocol.Error.
func (c *Conn) putRecord(ctx context.Context, job *Job, payload []byte) (own bool, err error) {
	return c.finishRecord(ctx, c.recordMessage(job, payload))
}

// putRecordWith is putRecord of a job that nobody else submits, and calls publish while
// the record is on its way: neither waits for the other.
func (c *Conn) putRecordWith(ctx context.Context, job *Job, payload []byte, publish func()) (own bool, err error) {
	m := c.recordMessage(job, bytes.Clone(payload)) // which publishing again changes
	word, err := c.acks.send(m)
	publish()
	if err == nil {
		err = c.acks.await(ctx, word)
	}
	if err == nil {
		return true, nil
	}
	return c.finishRecord(ctx, m)
}

func (c *Conn) recordMessage(job *Job, payload []byte) *nats.Msg {
	return first(labelled(c.n.recordOf(job), payload, recordLabel(job)), job.keptTTL())
}

// finishRecord stores a record that may have been sent before.
func (c *Conn) finishRecord(ctx context.Context, m *nats.Msg) (own bool, err error) {
	own, err = c.putFirst(ctx, "store record", c.n.keptStream(), m)
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

// submitKept is Submit of a job with a record. One that may be submitted twice is
// published only by whoever stored its record.
func (cl *Client) submitKept(ctx context.Context, s *Stream, job *Job) (*Stream, error) {
	s.tenant = job.Tenant
	s.withdraw = func() { cl.withdrawRecord(s.tenant, s.job) }
	lean := *job
	lean.Body = nil
	s.takeBack = func() { cl.takeBack(&lean) }
	var own bool
	var err, failed error
	enter := func() { failed = cl.enter(s) }
	if !job.Keep.Repeat {
		own, err = cl.conn.putRecordWith(ctx, job, s.payload, enter)
	} else if own, err = cl.conn.putRecord(ctx, job, s.payload); own {
		enter()
	}
	switch {
	case err == nil && !own: // its events go to whoever did
		cl.forget(job.ID)
		return nil, ErrSubmitted
	case err == nil && failed != nil:
		err = unavailable(failed)
		fallthrough
	case err != nil:
		cl.unsubmit(s, job)
		return nil, err
	}
	s.mu.Lock()
	refused := s.refused
	s.mu.Unlock()
	if refused { // perhaps before its record was there to be removed
		s.takeBack()
	}
	return s, nil
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
	var own bool
	var refused error
	publish := func() { err = cl.conn.publishJob(ctx, job, payload) }
	if !job.Keep.Repeat {
		own, refused = cl.conn.putRecordWith(ctx, job, payload, publish)
	} else if own, refused = cl.conn.putRecord(ctx, job, payload); refused == nil {
		publish()
	}
	if refused != nil {
		cl.takeBack(job)
		return refused
	}
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
// and the next one takes it up. It is removed once more a little later, since what was on its
// way may have been stored meanwhile.
func (cl *Client) takeBack(job *Job) {
	if !job.recorded() || job.Keep.Repeat {
		return
	}
	cl.wg.Go(func() {
		cl.removeAll(job)
		if pause(cl.ctx, lateWrite) {
			cl.removeAll(job)
		}
	})
}

// removeAll removes what is stored of a job, its place in the queue included.
func (cl *Client) removeAll(job *Job) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := errors.Join(cl.conn.purge(ctx, cl.conn.n.keptStream(), cl.conn.n.keptAll(job.Tenant, job.ID)), cl.conn.withdraw(ctx, job))
	if err != nil {
		cl.log.Warn("refused job may be stored all the same", "job_id", job.ID.String(), "error", err)
	}
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
