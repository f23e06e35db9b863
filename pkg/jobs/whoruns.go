package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// Nothing is stored of a plain job that runs, nor of a batch's line: who wants to know
// which worker runs one asks all workers of its pool, and the one that does answers.

// whoRunsWait is how long an answer may take: a worker that is there has it at once.
const whoRunsWait = 500 * time.Millisecond

// whoRuns is a worker's answer.
type whoRuns struct {
	Worker string        `json:"worker"`
	Number uint32        `json:"number"`
	Queued time.Duration `json:"queued"` // from the broker's timestamp to the start
}

// askWhoRuns returns the attempt of a job in the queue that runs now, nil if no worker
// says that it runs it.
func (c *Conn) askWhoRuns(ctx context.Context, q *record) (*RunningAttempt, error) {
	ctx, cancel := context.WithTimeout(ctx, whoRunsWait)
	defer cancel()
	m, err := c.nc.RequestWithContext(ctx, c.n.whoRuns(q.job.Pool), []byte(q.job.ID.String()))
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask who runs a job: %w", err)
	}
	var said whoRuns
	if err := json.Unmarshal(m.Data, &said); err != nil {
		return nil, fmt.Errorf("ask who runs a job: %w", err)
	}
	return &RunningAttempt{Number: said.Number, Worker: said.Worker, Began: q.stored.Add(said.Queued), Heard: time.Now()}, nil
}

// askWhichRun returns those of the jobs that some worker of the pool says it runs.
func (c *Conn) askWhichRun(ctx context.Context, pool string, ids []ID) (map[ID]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, whoRunsWait)
	defer cancel()
	inbox := c.nc.NewInbox()
	sub, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask which jobs run: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	question := make([]byte, 0, 1+len(ids)*len(ID{}))
	question = append(question, whichRun)
	for _, id := range ids {
		question = append(question, id[:]...)
	}
	if err := c.nc.PublishRequest(c.n.whoRuns(pool), inbox, question); err != nil {
		return nil, fmt.Errorf("ask which jobs run: %w", err)
	}
	run := map[ID]bool{}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
			return run, nil
		case err != nil:
			return nil, fmt.Errorf("ask which jobs run: %w", err)
		}
		for id := range eachID(m.Data) {
			run[id] = true
		}
	}
}

// whichRun begins a question about several jobs, whose ids follow; the answer is ids.
const whichRun = 0

// eachID goes through ids that follow each other.
func eachID(b []byte) iter.Seq[ID] {
	return func(yield func(ID) bool) {
		for part := range slices.Chunk(b, len(ID{})) {
			if len(part) == len(ID{}) && !yield(ID(part)) {
				return
			}
		}
	}
}

// onWhoRuns answers if the job runs here, or those of several that do.
func (k *Consumer) onWhoRuns(m *nats.Msg) {
	if len(m.Data) > 0 && m.Data[0] == whichRun {
		k.onWhichRun(m)
		return
	}
	id, err := ParseID(string(m.Data))
	if err != nil {
		return
	}
	k.mu.Lock()
	a := k.byJob[id]
	k.mu.Unlock()
	if a == nil || a.over() {
		return
	}
	said, err := json.Marshal(whoRuns{Worker: k.cfg.WorkerID, Number: a.number, Queued: a.queued})
	if err == nil {
		_ = m.Respond(said) // whoever asked can ask again
	}
}

func (k *Consumer) onWhichRun(m *nats.Msg) {
	var here []byte
	k.mu.Lock()
	for id := range eachID(m.Data[1:]) {
		if k.byJob[id] != nil { // one that has ended is about to leave the queue
			here = append(here, id[:]...)
		}
	}
	k.mu.Unlock()
	if len(here) > 0 {
		_ = m.Respond(here) // whoever asked asks again
	}
}

// over reports whether the attempt has said its last.
func (a *Attempt) over() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.ended.IsZero()
}
