package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// onWhoRuns answers if the job runs here.
func (k *Consumer) onWhoRuns(m *nats.Msg) {
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

// over reports whether the attempt has said its last.
func (a *Attempt) over() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.ended.IsZero()
}
