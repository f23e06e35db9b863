package jobs

import (
	"context"
	"fmt"
	"time"
)

// judgeLines takes the lines of batches from workers that are dead: those which were
// handed out and which no worker of their pool says it runs, for as long as a worker may
// take to know. A driver only knows of workers that it heard itself.
func (h *heldJobs) judgeLines(ctx context.Context) error {
	pools := map[string][]*suspectJob{}
	for _, s := range h.suspects {
		if s.job.isLine() {
			pools[s.pc.pool] = append(pools[s.pc.pool], s)
		}
	}
	for pool, lines := range pools {
		ids := make([]ID, len(lines))
		for i, s := range lines {
			ids[i] = s.job.ID
		}
		run, err := h.cl.conn.askWhichRun(ctx, pool, ids)
		if err != nil {
			return err
		}
		var stranded []*suspectJob
		for _, s := range lines {
			switch {
			case run[s.job.ID]:
				delete(h.suspects, s.seq)
			case s.since.IsZero():
				s.since = time.Now()
			case time.Since(s.since) >= unannounced:
				delete(h.suspects, s.seq)
				stranded = append(stranded, s)
			}
		}
		if err := h.handBackLines(ctx, stranded); err != nil {
			return err
		}
	}
	return nil
}

// handBackLines gives lines of one pool to other workers. One that ended meanwhile has
// left the queue, and one that runs twice has one result.
func (h *heldJobs) handBackLines(ctx context.Context, lines []*suspectJob) error {
	if len(lines) == 0 {
		return nil
	}
	c, pc := h.cl.conn, lines[0].pc
	info, err := c.consumerInfo(ctx, pc)
	if err != nil {
		return err
	}
	h.cl.log.Warn("worker of a batch's lines is gone, others get them", "pool", pc.pool, "lines", len(lines))
	for _, s := range lines {
		ack := fmt.Sprintf("$JS.ACK.%s.%s.1.%d.%d.%d.0", c.n.jobsStream(pc.class), c.n.consumer(pc.pool), s.seq, info.Delivered.Consumer, time.Now().UnixNano())
		if err := c.nc.Publish(ack, ackNak); err != nil {
			return err
		}
	}
	return nil
}
