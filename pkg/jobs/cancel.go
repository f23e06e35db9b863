package jobs

import (
	"context"
	"fmt"
	"time"
)

// abandon gives up an unfinished job: it is taken out of the queue and whoever
// runs it is told, always both, since a worker never learns from the broker that
// its job was deleted.
func (cl *Client) abandon(s *Stream) {
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
	_ = cl.conn.nc.Publish(cl.conn.apiPrefix+"STREAM.MSG.DELETE."+cl.conn.n.jobsStream(s.class),
		fmt.Appendf(nil, `{"seq":%d,"no_erase":true}`, seq))
}

// sweep deletes the job's message by its subject.
func (cl *Client) sweep(s *Stream) {
	_ = cl.conn.nc.Publish(cl.conn.apiPrefix+"STREAM.PURGE."+cl.conn.n.jobsStream(s.class),
		fmt.Appendf(nil, `{"filter":%q}`, s.subject))
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
