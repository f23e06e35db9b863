package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/protocol"
)

// unseen reports whether nobody is known to run the job and it is time to look
// whether it still waits.
func (s *Stream) unseen(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := s.published
	if s.looked.After(since) {
		since = s.looked
	}
	return s.known && !s.closed && !s.ended && s.control == "" && now.Sub(since) >= lookEvery
}

// look finds jobs that left the queue without anybody telling: it was emptied, its
// server lost it, or its worker ended it and could not say so. A job that is missed
// twice, lookEvery apart, is failed; waiting for its deadline would help nobody.
func (cl *Client) look(idle []*Stream, now time.Time) {
	for _, s := range idle {
		queued, err := cl.conn.queued(cl.ctx, s)
		if err != nil {
			cl.log.Warn("job not looked for", "job_id", s.job.String(), "error", err)
			return
		}
		s.mu.Lock()
		s.looked = now
		s.absent++
		if queued || s.control != "" {
			s.absent = 0
		}
		lost := s.absent > 1
		s.mu.Unlock()
		if lost && s.tenant != "" && cl.conn.resubmit(cl.ctx, s.tenant, s.job) == nil {
			s.mu.Lock()
			s.absent = 0
			s.mu.Unlock()
			cl.log.Error("job is no longer in the queue and submitted again", "job_id", s.job.String())
			continue
		}
		if lost {
			cl.log.Error("job is no longer in the queue", "job_id", s.job.String())
			s.fail(protocol.ErrUnavailable("The request was lost. Please try again.", 2*time.Second))
		}
	}
}

// queued asks the leader of the job's stream whether it holds the job.
func (c *Conn) queued(ctx context.Context, s *Stream) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	m, err := c.nc.RequestWithContext(ctx, c.apiPrefix+"STREAM.INFO."+c.n.jobsStream(s.class), fmt.Appendf(nil, `{"subjects_filter":%q}`, s.subject))
	if err != nil {
		return false, fmt.Errorf("ask for job: %w", err)
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
		State struct {
			Subjects map[string]uint64 `json:"subjects"`
		} `json:"state"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return false, fmt.Errorf("ask for job: %w", err)
	}
	if answer.Error != nil {
		if answer.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound {
			return false, nil
		}
		return false, fmt.Errorf("ask for job: %w", answer.Error)
	}
	return answer.State.Subjects[s.subject] > 0, nil
}
