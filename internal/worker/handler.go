package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// handle answers one job: it is the jobs.Handler of this worker. It returns nil
// once the whole answer was emitted; else the context's cause if that ended, or a
// *protocol.Error for the client. The outcome says what is known in each case.
func (w *Worker) handle(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
	return w.answer(ctx, a.Job(), a.Queued(), a, func() *slog.Logger {
		return w.log.With("job_id", a.Job().ID, "attempt", a.Number(), "model", a.Job().Model)
	})
}

// answer calls log only when there is something to say, which is rarely: a logger that
// names the job costs as much as writing a line.
func (w *Worker) answer(ctx context.Context, job *jobs.Job, queued time.Duration, to events, log func() *slog.Logger) (jobs.Outcome, error) {
	start := time.Now()
	timing := jobs.Timing{Queue: queued}
	chat, err := protocol.DecodeRequest(job.Body)
	if err != nil {
		return jobs.Outcome{Timing: timing}, err
	}
	job.Body = nil // chat has it, and may give it up
	cat, e, err := w.find(ctx, job.Model)
	if err != nil {
		timing.Worker = time.Since(start)
		return jobs.Outcome{Timing: timing}, err
	}
	defer cat.release(e)
	if chat, err = limited(chat, e.maxTokens); err != nil {
		return jobs.Outcome{Timing: timing}, err
	}
	buf := w.buffers.get()
	at := &attempt{
		gate: w.gate, metrics: w.metrics, log: log,
		job: job, chat: chat, label: e.label, targets: e.order(),
		out: output{
			to: to, chat: chat, env: envelope(job), stream: job.Stream, includeUsage: chat.IncludeUsage || !job.Stream,
			start: start, timing: timing, buf: *buf,
		},
	}
	err = at.run(ctx)
	*buf = at.out.buf
	w.buffers.put(buf)
	return at.outcome(), err
}

// outcome is what there is to say about the attempt, however it ended.
func (a *attempt) outcome() jobs.Outcome {
	o := jobs.Outcome{Usage: a.out.Usage(), FinishReason: a.out.FinishReason(), Timing: a.out.timing}
	if a.last != nil {
		o.Provider, o.Target = a.last.provider, a.last.model
		o.Timing.Model = time.Since(a.out.began)
	} else {
		o.Timing.Worker = time.Since(a.out.start)
	}
	return o
}

// envelope is what Osiris says about the answer to job.
func envelope(job *jobs.Job) protocol.Envelope {
	tier := job.ServiceTier
	if tier == "auto" { // OpenAI answers with the tier it chose
		tier = "default"
	}
	return protocol.Envelope{ID: "chatcmpl-" + job.ID.String(), Created: job.Created, Model: job.Model, ServiceTier: tier}
}

// limited returns chat with the model's own limit where it names none.
func limited(chat *protocol.Request, most int) (*protocol.Request, error) {
	if most <= 0 || chat.MaxTokens > 0 {
		return chat, nil
	}
	body, err := protocol.EditObject(make([]byte, 0, len(chat.Body)+64), chat.Body,
		protocol.Member{Name: "max_tokens"}, // 0 or null means unset
		protocol.Member{Name: "max_completion_tokens", Value: strconv.AppendInt(nil, int64(most), 10)})
	if err != nil {
		return nil, protocol.ErrBadJSON().Wrap(err)
	}
	c := *chat
	c.Body, c.MaxTokens = body, most
	return &c, nil
}

// order returns e's targets in the order in which one job tries them.
func (e *entry) order() []*target {
	seq := order(e.weights, rand.IntN)
	targets := make([]*target, len(seq))
	for i, n := range seq {
		targets[i] = e.targets[n]
	}
	return targets
}

// buffers keeps the event buffers of finished attempts for the next.
type buffers struct{ pool sync.Pool }

// keepMost is the largest buffer that is kept: one huge answer must not stay in
// memory for good.
const keepMost = 256 << 10

func (b *buffers) get() *[]byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, 0, 1<<10)
	return &buf
}

func (b *buffers) put(buf *[]byte) {
	if cap(*buf) > keepMost {
		return
	}
	*buf = (*buf)[:0]
	b.pool.Put(buf)
}
