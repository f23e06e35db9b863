package jobs

import (
	"context"
	"time"
)

// abandon gives up an unfinished job: it is taken out of the queue and whoever
// runs it is told, always both, since a worker never learns from the broker that
// its job was deleted. A kept job goes on: only the telling ends.
func (cl *Client) abandon(s *Stream) {
	if s.kept {
		cl.detach(s)
		return
	}
	s.mu.Lock()
	control, attempt, stored, known := s.control, s.seq.attempt, s.stored, s.known
	s.payload = nil
	s.mu.Unlock()
	f := frame{job: s.job, attempt: attempt, kind: ctlCancel}
	if control != "" {
		cl.tell(control, &f)
	} else {
		_ = cl.conn.nc.Publish(cl.conn.n.cancel(), appendFrame([]byte{frameVersion}, &f))
	}
	switch {
	case stored != 0:
		cl.remove(s)
		cl.forget(s.job)
	case known: // an event came, the ack did not
		cl.sweep(s)
	}
	// Otherwise the ack says what to delete: see stored and tend.
	cl.dropBody(s)
}

// remove deletes the job's message. A message that cannot be deleted just now is
// harmless: a worker that takes it is told that nobody waits.
func (cl *Client) remove(s *Stream) {
	s.mu.Lock()
	seq := s.stored
	s.mu.Unlock()
	if seq == 0 {
		cl.sweep(s)
		return
	}
	_ = cl.conn.nc.Publish(cl.conn.apiPrefix+"STREAM.MSG.DELETE."+cl.conn.n.jobsStream(s.class), deletion(seq))
}

// sweep deletes the job's message whose number is not known. It does not wait.
func (cl *Client) sweep(s *Stream) {
	cl.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := cl.conn.takeOut(ctx, s.class, s.subject); err != nil {
			cl.log.Debug("abandoned job stays in the queue", "job_id", s.job.String(), "error", err)
		}
	})
	cl.forget(s.job)
}

// dropBody deletes a body that travelled by reference.
func (cl *Client) dropBody(s *Stream) {
	s.mu.Lock()
	large := s.large
	s.large = false
	s.mu.Unlock()
	if !large {
		return
	}
	cl.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := cl.conn.deleteBody(ctx, s.job); err != nil {
			cl.log.Warn("large body stays until it expires", "job_id", s.job.String(), "error", err)
		}
	})
}

// detach tells the worker of a kept job that its events are not read any more.
func (cl *Client) detach(s *Stream) {
	s.mu.Lock()
	control, attempt, known := s.control, s.seq.attempt, s.known
	s.mu.Unlock()
	if control != "" {
		cl.tell(control, &frame{job: s.job, attempt: attempt, kind: ctlCancel})
	}
	if known { // else it is published again until its ack comes: see tend
		cl.forget(s.job)
	}
}

// Revoke ends a job whoever waits for it, a kept one too: it is taken out of the
// queue and every worker is told. It stores no result: whoever revokes a kept job
// has stored one before, so that the job does not come back. It blocks until the
// queue has confirmed it, or for some seconds.
func (cl *Client) Revoke(job *Job) error {
	ctx, cancel := context.WithTimeout(cl.ctx, 2*attemptTimeout)
	defer cancel()
	return cl.conn.withdraw(ctx, job)
}
