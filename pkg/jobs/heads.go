package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// headsPull is how many heads are asked for together.
	headsPull = 8192
	// headsGone is when a server forgets who reads heads and asks for no more.
	headsGone = 30 * time.Second
)

// errHeadsLost says that messages were sent here and did not arrive: they are not
// acknowledged, so they do not come again.
var errHeadsLost = errors.New("heads were lost on their way")

// head is a stored message without its data.
type head struct {
	subject string
	seq     uint64
	time    time.Time
	label   string
}

// heads reads the messages of a stream without their data, in order, from one on. It
// belongs to one goroutine.
type heads struct {
	c        *Conn
	stream   string
	consumer jetstream.Consumer
	pending  uint64 // messages that the server has and that were not read
	last     uint64 // how many were read
}

// openHeads begins to read what filters select (without any: everything, which costs
// the server the least) from seq on, or, if that is 0, from a
// time on. Close gives it back.
//
// Whoever answers may be a replica that lags behind: what must not be missed is known
// by its number from the leader.
func (c *Conn) openHeads(ctx context.Context, stream string, filters []string, seq uint64, from time.Time) (*heads, error) {
	cfg := jetstream.ConsumerConfig{
		Description: "reads heads", FilterSubjects: filters, AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: seq,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: headsGone,
	}
	if seq == 0 {
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &from
	}
	h := &heads{c: c, stream: stream}
	err := c.persist(ctx, "read heads of "+stream, func(ctx context.Context) (err error) {
		h.consumer, err = c.js.CreateConsumer(ctx, stream, cfg)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read heads of %s: %w", stream, err)
	}
	h.pending = h.consumer.CachedInfo().NumPending
	return h, nil
}

// next calls f with what there is, at most headsPull messages; without any it waits
// as long as wait for the first.
func (h *heads) next(ctx context.Context, wait time.Duration, f func(head)) (n int, err error) {
	for began, pending := time.Now(), h.pending; ; h.pending = pending {
		n, err = h.pull(ctx, wait, f)
		// The node that leads a new consumer of a cluster may not be known to the others yet.
		if n > 0 || !errors.Is(err, nats.ErrNoResponders) || time.Since(began) > attemptTimeout {
			return n, err
		}
		select {
		case <-ctx.Done():
			return n, fmt.Errorf("read heads of %s: %w", h.stream, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (h *heads) pull(ctx context.Context, wait time.Duration, f func(head)) (n int, err error) {
	var batch jetstream.MessageBatch
	if h.pending > 0 || wait == 0 {
		batch, err = h.consumer.FetchNoWait(int(min(max(h.pending, 1), headsPull)))
	} else {
		batch, err = h.consumer.Fetch(1, jetstream.FetchMaxWait(wait))
	}
	if err != nil {
		return 0, fmt.Errorf("read heads of %s: %w", h.stream, err)
	}
	had := h.pending
	h.pending = 0 // unless one of them says more
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			return n, fmt.Errorf("read heads of %s: %w", h.stream, err)
		}
		if h.last++; meta.Sequence.Consumer != h.last {
			return n, fmt.Errorf("read heads of %s: %w", h.stream, errHeadsLost)
		}
		h.pending = meta.NumPending
		n++
		f(head{subject: m.Subject(), seq: meta.Sequence.Stream, time: meta.Timestamp, label: m.Headers().Get(labelHeader)})
	}
	if ctx.Err() != nil {
		return n, fmt.Errorf("read heads of %s: %w", h.stream, context.Cause(ctx))
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) {
		return n, fmt.Errorf("read heads of %s: %w", h.stream, err)
	}
	if n == 0 && had > 0 { // they were deleted, or the server had not got to them
		info, err := h.consumer.Info(ctx)
		if err != nil {
			return 0, fmt.Errorf("read heads of %s: %w", h.stream, err)
		}
		h.pending = info.NumPending
	}
	return n, nil
}

// close tells the server that nobody reads any more; otherwise it would find out.
func (h *heads) close(ctx context.Context) {
	if h.c.Ready() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = h.c.js.DeleteConsumer(ctx, h.stream, h.consumer.CachedInfo().Name)
}
