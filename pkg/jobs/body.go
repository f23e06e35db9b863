package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// storeBody stores the body of a request in parts. Its error is a *protocol.Error:
// 413 above the limit, 503 while the stream is full or NATS is away. Nothing is
// left behind after an error, except what the stream's age limit sweeps.
func (c *Conn) storeBody(ctx context.Context, job *Job) (bodyRef, error) {
	if int64(len(job.Body)) > c.cfg.MaxBody {
		return bodyRef{}, protocol.ErrBodyTooLarge(c.cfg.MaxBody)
	}
	kept := job.Keep != nil && !job.isLine() // a line's batch has its file
	stream, name := c.n.bodiesStream(), func(part int) string { return c.n.body(job.ID, part) }
	if kept {
		stream, name = c.n.keptStream(), func(part int) string { return c.n.keptPart(job.Tenant, job.ID, part) }
	}
	ref, err := c.storeParts(ctx, stream, job.Body, job.keptTTL(), name)
	if ref.Kept = kept; err == nil {
		return ref, nil
	}
	if !kept || !job.Keep.Repeat { // else the parts may be those of another request with its key
		c.sweepBody(ctx, job, kept)
	}
	err = fmt.Errorf("store body: %w", err)
	if hasCode(err, codeStreamFull) {
		return bodyRef{}, protocol.ErrOverloaded(5 * time.Second).Wrap(err)
	}
	return bodyRef{}, protocol.ErrUnavailable("The queue cannot store this request now, please try again later", time.Second).Wrap(err)
}

// lateWrite is how long a write may take to be stored that was given up.
const lateWrite = 2 * time.Second

// sweepBody removes what was stored of a refused body, and later what was still on its
// way. Without a connection it does not even try: the client is waiting for its refusal.
func (c *Conn) sweepBody(ctx context.Context, job *Job, kept bool) {
	if !c.nc.IsConnected() {
		return
	}
	givenUp := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	defer cancel()
	stream, parts := c.n.bodiesStream(), c.n.bodyParts(job.ID)
	if kept {
		stream, parts = c.n.keptStream(), c.n.keptAll(job.Tenant, job.ID)
	}
	if err := c.purge(ctx, stream, parts); err != nil {
		c.log.Warn("parts of a refused body stay until they expire", "job_id", job.ID.String(), "error", err)
	}
	if givenUp {
		c.begin(func() {
			if pause(c.ctx, lateWrite) {
				_ = c.purge(c.ctx, stream, parts)
			}
		})
	}
}

// loadBody reads a request's body back. The error is errBodyGone if it is no longer
// there.
func (c *Conn) loadBody(ctx context.Context, ref bodyRef) ([]byte, error) {
	if ref.Size > c.cfg.MaxBody {
		return nil, fmt.Errorf("load body: %d bytes, more than a request may have: %w", ref.Size, errBodyGone)
	}
	if ref.Kept {
		return c.loadParts(ctx, c.n.keptStream(), ref)
	}
	return c.loadParts(ctx, c.n.bodiesStream(), ref)
}

// deleteBody removes every part of a plain job's body.
func (c *Conn) deleteBody(ctx context.Context, id ID) error {
	return c.purge(ctx, c.n.bodiesStream(), c.n.bodyParts(id))
}
