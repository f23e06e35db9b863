package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// heldEvery is how often the jobs that workers hold are gone through, if no worker
	// was found dead meanwhile.
	heldEvery = 10 * time.Second
	// heldMost bounds the jobs of a queue that are gone through in one go; the next one
	// goes on with the others.
	heldMost = 2048
	// heldPages bounds the stored events that are read to find out who runs a job.
	heldPages = 16
	// unannounced is how long a worker may take from getting a job to saying so.
	unannounced = 5 * time.Second
)

// suspectJob is a job whose worker may be dead.
type suspectJob struct {
	seq      uint64
	stored   time.Time
	job      *Job
	pc       poolClass
	instance string    // of the worker; "" if none announced the job, as with the lines of batches
	since    time.Time // nobody was found there first, or the job was seen first
}

// heldJobs finds kept jobs that are handed out, by what the broker and their stored
// events say, and takes them from workers that are dead. It belongs to one goroutine.
type heldJobs struct {
	cl       *Client
	looked   time.Time
	seen     uint64 // deaths that were known then
	suspects map[uint64]*suspectJob
	from     map[poolClass]uint64 // where the next look begins
}

// look takes jobs from dead workers, if it is time to.
func (h *heldJobs) look(ctx context.Context) error {
	deaths := h.cl.workers.deaths()
	if len(h.suspects) == 0 && time.Since(h.looked) < heldEvery && deaths == h.seen {
		return nil
	}
	if time.Since(h.looked) >= heldEvery || deaths != h.seen {
		classes := []Class{Interactive, Background}
		if h.looked.IsZero() || deaths != h.seen || h.more(Batch) { // else their drivers know
			classes = append(classes, Batch)
		}
		h.looked, h.seen = time.Now(), deaths
		for _, class := range classes {
			if err := h.gather(ctx, class); err != nil {
				return err
			}
		}
	}
	if err := h.judgeLines(ctx); err != nil {
		return err
	}
	alive := map[string]bool{}
	for seq, s := range h.suspects {
		if s.job.isLine() {
			continue
		}
		done, err := h.judge(ctx, s, alive)
		if err != nil {
			return err
		}
		if done {
			delete(h.suspects, seq)
		}
	}
	return nil
}

// more reports whether the last look at a class did not reach its end.
func (h *heldJobs) more(class Class) bool {
	for pc := range h.from {
		if pc.class == class {
			return true
		}
	}
	return false
}

// gather notes the kept jobs of a class that are handed out.
func (h *heldJobs) gather(ctx context.Context, class Class) error {
	c := h.cl.conn
	stream, err := c.js.Stream(ctx, c.n.jobsStream(class))
	if err != nil {
		return fmt.Errorf("look for held jobs: %w", err)
	}
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		if info.NumAckPending == 0 {
			continue
		}
		if err := h.gatherOf(ctx, class, info); err != nil {
			return err
		}
	}
	if err := list.Err(); err != nil {
		return fmt.Errorf("look for held jobs: %w", err)
	}
	return nil
}

// gatherOf does so for a queue: what was delivered and is still there.
func (h *heldJobs) gatherOf(ctx context.Context, class Class, info *jetstream.ConsumerInfo) error {
	c := h.cl.conn
	pc := poolClass{info.Name, class} // a queue's consumer has the name of its pool
	stream, filter := c.n.jobsStream(class), c.n.poolFilter(class, pc.pool)
	if h.from == nil {
		h.from = map[poolClass]uint64{}
	}
	seq, read := max(h.from[pc], 1), 0
	delete(h.from, pc)
	for {
		list, err := c.directPage(ctx, stream, question{Seq: seq, NextFor: filter, Batch: pageMessages, Bytes: pageBytes})
		if err != nil && len(list) == 0 {
			return err
		}
		for _, m := range list {
			if m.Seq > info.Delivered.Stream {
				return nil
			}
			seq = m.Seq + 1
			if read++; read > heldMost {
				h.from[pc] = m.Seq
				return nil
			}
			if h.suspects[m.Seq] != nil {
				continue
			}
			if job, _, _, err := decodeJob(m.Data); err == nil && (job.recorded() || job.isLine()) {
				job.Body = nil
				h.suspects[m.Seq] = &suspectJob{seq: m.Seq, stored: m.Time, job: job, pc: pc}
			}
		}
		if len(list) == 0 {
			return nil
		}
	}
}

// judge takes a job from its worker if that is dead, and reports whether no more is to
// be found out about it now.
func (h *heldJobs) judge(ctx context.Context, s *suspectJob, alive map[string]bool) (done bool, err error) {
	c := h.cl.conn
	if s.since.IsZero() {
		if s.instance, err = c.runsAt(ctx, s.job.ID, s.stored); err != nil || s.instance == unknownInstance {
			return true, err
		}
	}
	limit := sweepSure
	if s.instance == "" {
		limit = unannounced
	} else {
		here, asked := alive[s.instance]
		if !asked {
			here = !c.nobodyAt(ctx, s.instance)
			alive[s.instance] = here
		}
		if here {
			return true, nil
		}
	}
	if s.since.IsZero() {
		s.since = time.Now()
		return false, nil
	}
	if time.Since(s.since) < limit {
		return false, nil
	}
	return true, h.handBack(ctx, s)
}

// handBack gives a job to another worker, unless it ended or was begun again meanwhile.
func (h *heldJobs) handBack(ctx context.Context, s *suspectJob) error {
	c := h.cl.conn
	if r, err := c.resultIfAny(ctx, s.job.Tenant, s.job.ID); err != nil || r != nil {
		return err // a worker looks for a result before it announces: it may be held up there
	}
	instance, err := c.runsAt(ctx, s.job.ID, s.stored)
	if err != nil || instance != s.instance {
		return err
	}
	info, err := c.consumerInfo(ctx, s.pc)
	if err != nil {
		return err
	}
	h.cl.log.Warn("worker of a kept job is gone, another one gets it", "job_id", s.job.ID.String())
	ack := fmt.Sprintf("$JS.ACK.%s.%s.1.%d.%d.%d.0", c.n.jobsStream(s.pc.class), c.n.consumer(s.pc.pool), s.seq, info.Delivered.Consumer, time.Now().UnixNano())
	return c.nc.Publish(ack, ackNak)
}

// unknownInstance says that it cannot be known who runs a job.
const unknownInstance = "?"

// runsAt returns the address of the worker that last announced a job, "" if none did
// since it was stored.
func (c *Conn) runsAt(ctx context.Context, id ID, since time.Time) (instance string, err error) {
	stream, subject := c.n.replayStream(), c.n.replay(id)
	var seq uint64 = 1
	newest := replayMessage{}
	for range heldPages {
		list, err := c.page(ctx, stream, subject, seq)
		if err != nil {
			return "", err
		}
		if len(list) == 0 {
			break
		}
		for _, m := range list {
			seq = m.Seq + 1
			msg, err := decodeReplay(m.Data)
			if err != nil {
				return unknownInstance, nil //nolint:nilerr // what cannot be read says nothing of who holds it
			}
			if msg.attempt >= newest.attempt {
				if msg.kind == replayStarted || msg.attempt > newest.attempt {
					newest = msg
				}
			}
		}
	}
	switch {
	case newest.attempt == 0:
		info, err := c.subjects(ctx, stream, "", 0)
		if err != nil {
			return "", err
		}
		if info.State.Last > 0 && (info.State.Messages == 0 || info.State.First.After(since)) {
			return unknownInstance, nil // what was announced may be stored no more
		}
		return "", nil
	case newest.kind != replayStarted: // its beginning is no longer stored
		return unknownInstance, nil
	}
	about, err := decodeReplayAbout(newest.data)
	if err != nil || about.Instance == "" {
		return unknownInstance, nil //nolint:nilerr // as above
	}
	return about.Instance, nil
}
