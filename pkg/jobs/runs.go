package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// longestRunLease is how long a driver that says nothing keeps its batches, unless
	// workers keep their jobs for less.
	longestRunLease = 10 * time.Second
	// orphanAge is how old a run without a batch must be to be dropped: its creator
	// was about to store the batch.
	orphanAge = 2 * time.Minute
	// runsPull is how long one request for a run waits.
	runsPull = 5 * time.Second
)

// Run is the lease of one batch. Whoever holds it drives the batch; should the
// holder die, another gets it after ten seconds. It says who ought to drive, not who
// may write: that is the batch's fence.
type Run struct {
	Batch  string // its id
	Tenant string
	Since  time.Time // the batch was handed to the drivers, by the broker's clock

	msg  jetstream.Msg
	stop context.CancelFunc
	done chan struct{}
	once sync.Once
}

type runMessage struct {
	Tenant string `json:"tenant"`
	Batch  string `json:"batch"`
}

// publishRun hands a batch to the drivers, unless it is with them already.
func (c *Conn) publishRun(ctx context.Context, tenant, batch string) error {
	return c.publishRunAfter(ctx, tenant, batch, 0)
}

// publishRunAfter does so when the run with number ended was just acknowledged: a
// cluster removes it a moment later, and until then it does not count as there.
func (c *Conn) publishRunAfter(ctx context.Context, tenant, batch string, ended uint64) error {
	data, err := json.Marshal(runMessage{Tenant: tenant, Batch: batch})
	if err != nil {
		return fmt.Errorf("publish run: %w", err)
	}
	err = c.persist(ctx, "publish run", func(ctx context.Context) error {
		_, err := c.js.Publish(ctx, c.n.run(batch), data, jetstream.WithExpectStream(c.n.runsStream()))
		if !hasCode(err, codeStreamFull) {
			return err
		}
		if ended == 0 {
			return nil // by subject: it is there
		}
		m, err := c.leaderGet(ctx, c.n.runsStream(), question{LastFor: c.n.run(batch)})
		if errors.Is(err, errNotStored) || err == nil && m.Seq == ended {
			return errRace
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("publish run: %w", err)
	}
	return nil
}

// ensureRuns creates the consumer that the drivers share.
func (c *Conn) ensureRuns(ctx context.Context) (consumer jetstream.Consumer, err error) {
	err = c.persist(ctx, "ensure runs", func(ctx context.Context) (err error) {
		consumer, err = c.js.Consumer(ctx, c.n.runsStream(), c.n.runsConsumer())
		if !hasCode(err, jetstream.JSErrCodeConsumerNotFound) {
			return err
		}
		consumer, err = c.js.CreateConsumer(ctx, c.n.runsStream(), jetstream.ConsumerConfig{
			Durable: c.n.runsConsumer(), Description: "drivers of batches", FilterSubject: c.n.runsFilter(),
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: c.runLease(), MaxDeliver: -1, MaxAckPending: -1,
		})
		return err
	})
	return consumer, err
}

// TakeRun waits for a batch that has no driver and takes its lease, which is kept
// up until the run's Done, HandOver or
// Abandon. It returns when ctx ends, with its cause.
func (c *Conn) TakeRun(ctx context.Context) (*Run, error) { return c.takeRun(ctx, true) }

// TryRun does so for a batch that no other process waits for just now; the run is nil
// if there is none.
func (c *Conn) TryRun(ctx context.Context) (*Run, error) { return c.takeRun(ctx, false) }

func (c *Conn) takeRun(ctx context.Context, wait bool) (*Run, error) {
	for {
		consumer, err := c.ensureRuns(ctx)
		if err != nil {
			return nil, fmt.Errorf("take run: %w", err)
		}
		msg, err := nextRun(ctx, consumer, wait)
		if ctx.Err() != nil {
			if msg != nil {
				_ = msg.Nak() // at worst its lease runs out
			}
			return nil, context.Cause(ctx)
		}
		if err != nil {
			select { // the broker is away, or the consumer is: made again above
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		if msg == nil && !wait {
			return nil, nil
		}
		if msg == nil {
			continue
		}
		run, err := c.openRun(msg)
		if err != nil {
			c.log.Error("run cannot be read and is dropped", "subject", msg.Subject(), "error", err)
			_ = msg.Term()
			continue
		}
		return run, nil
	}
}

// nextRun asks for one run; none within runsPull, or none just now, is nil.
func nextRun(ctx context.Context, consumer jetstream.Consumer, wait bool) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, runsPull)
	defer cancel()
	var batch jetstream.MessageBatch
	var err error
	if wait {
		batch, err = consumer.Fetch(1, jetstream.FetchContext(ctx))
	} else {
		batch, err = consumer.FetchNoWait(1)
	}
	if err != nil {
		return nil, err
	}
	msg := <-batch.Messages()
	if err := batch.Error(); msg == nil && err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	return msg, nil
}

// openRun reads a run and begins to keep its lease.
func (c *Conn) openRun(msg jetstream.Msg) (*Run, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return nil, err
	}
	var m runMessage
	if err := json.Unmarshal(msg.Data(), &m); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(c.ctx)
	r := &Run{Batch: m.Batch, Tenant: m.Tenant, Since: meta.Timestamp, msg: msg, stop: cancel, done: make(chan struct{})}
	kept := c.begin(func() {
		defer close(r.done)
		tick := time.NewTicker(c.runLease() / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = msg.InProgress() // a lease that ran out is found out by the fence
			}
		}
	})
	if !kept {
		close(r.done)
	}
	return r, nil
}

// Done gives the lease back for good: the batch has ended. Without an answer from
// the broker another driver gets the run, and finds that the batch has ended.
func (r *Run) Done(ctx context.Context) error {
	var err error
	r.once.Do(func() {
		r.release()
		err = r.msg.DoubleAck(ctx)
	})
	if err != nil {
		return fmt.Errorf("end run: %w", err)
	}
	return nil
}

// HandOver gives the lease to another driver, after delay.
func (r *Run) HandOver(delay time.Duration) {
	r.once.Do(func() {
		r.release()
		if delay <= 0 {
			_ = r.msg.Nak() // at worst its lease runs out
			return
		}
		_ = r.msg.NakWithDelay(delay)
	})
}

// Abandon stops keeping up a lease that another driver has by now.
func (r *Run) Abandon() { r.once.Do(r.release) }

func (r *Run) release() {
	r.stop()
	<-r.done
}

// runLease returns how long a driver that says nothing keeps its batches.
func (c *Conn) runLease() time.Duration { return min(longestRunLease, c.cfg.AckWait) }

// Orphan takes back a run whose batch is not there: at first its creator may be about
// to store it, later the run is dropped.
func (c *Conn) Orphan(ctx context.Context, r *Run) error {
	if time.Since(r.Since) < orphanAge {
		r.HandOver(time.Second)
		return nil
	}
	meta, err := r.msg.Metadata()
	if err != nil {
		return fmt.Errorf("end run: %w", err)
	}
	if err := r.Done(ctx); err != nil {
		return err
	}
	// The batch may have been stored just before its run was dropped.
	if _, err := c.Batch(ctx, r.Tenant, r.Batch); !errors.Is(err, ErrNoBatch) {
		return errors.Join(err, c.publishRunAfter(ctx, r.Tenant, r.Batch, meta.Sequence.Stream))
	}
	return nil
}
