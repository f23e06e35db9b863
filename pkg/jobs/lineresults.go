package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// resultsFetch is about how many bytes of results a walk has in memory, in
	// resultsMost messages at most.
	resultsFetch = 4 << 20
	resultsMost  = 512
	// resultsIdle is how long the broker keeps a walk that asks for nothing.
	resultsIdle = time.Minute
)

// LineResult is the stored result of one line of a batch.
type LineResult struct {
	Line int // its number
	Seq  uint64
	*Result
}

// errWalkGap says that messages were lost between the broker and here.
var errWalkGap = errors.New("results were lost on their way")

// LineResults calls each for every result of a batch's lines that is stored, from
// the sequence number from on, in the order in which they were stored, and returns
// the number to go on from. A result's body is nil where it is too large for one
// message, unless withBody is set. On a cluster the newest may be missing; a call
// made later tells them. An error of each ends the walk and is returned. It keeps
// trying while NATS is away, until ctx ends.
func (c *Conn) LineResults(ctx context.Context, tenant, batch string, from uint64, withBody bool, each func(LineResult) error) (next uint64, err error) {
	next = max(from, 1)
	for {
		var stop error
		err := c.walkResults(ctx, c.n.result(tenant, batch, "*"), &next, func(m jetstream.Msg, seq uint64) error {
			r, ok, err := c.lineResult(ctx, m, seq, withBody)
			if err == nil && ok {
				err = each(r)
			}
			stop = err
			return err
		})
		switch {
		case stop != nil:
			return next, stop
		case err == nil:
			return next, nil
		case ctx.Err() != nil:
			return next, fmt.Errorf("read results of %s: %w", batch, context.Cause(ctx))
		case c.nc.IsClosed():
			return next, fmt.Errorf("read results of %s: %w", batch, err)
		}
		c.log.Debug("results are read on", "batch", batch, "reason", err)
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// lineResult reads a message as the result of a line; ok is false for one that is
// not.
func (c *Conn) lineResult(ctx context.Context, m jetstream.Msg, seq uint64, withBody bool) (lr LineResult, ok bool, err error) {
	line := lineNumber(m.Subject())
	if line < 1 {
		return LineResult{}, false, nil
	}
	r, ref, err := decodeResult(m.Data())
	if err == nil && ref != nil && withBody {
		r.Body, err = c.loadParts(ctx, c.n.resultsStream(), *ref)
	}
	if err != nil {
		return LineResult{}, false, fmt.Errorf("read result of line %d: %w", line, err)
	}
	return LineResult{Line: line, Seq: seq, Result: r}, true, nil
}

// lineNumber returns the number at the end of a result's subject, 0 if there is none.
func lineNumber(subject string) int {
	n, err := strconv.Atoi(subject[lastToken(subject):])
	if err != nil {
		return 0
	}
	return n
}

// walkResults reads what is stored under filter from *next on, and moves *next
// behind each message that f was called with.
func (c *Conn) walkResults(ctx context.Context, filter string, next *uint64, f func(m jetstream.Msg, seq uint64) error) error {
	begin, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	consumer, err := c.js.CreateConsumer(begin, c.n.resultsStream(), jetstream.ConsumerConfig{
		FilterSubject: filter, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: *next,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: resultsIdle,
	})
	if err != nil {
		return err
	}
	defer c.dropConsumer(consumer.CachedInfo())
	pending, delivered := consumer.CachedInfo().NumPending, uint64(0)
	size := resultsFetch / 8 // of one message, the largest of late
	for pending > 0 {
		n := min(pending, uint64(min(max(resultsFetch/size, 1), resultsMost)))
		batch, err := consumer.Fetch(int(n), jetstream.FetchMaxWait(attemptTimeout))
		if err != nil {
			return err
		}
		got := false
		size = max(size*7/8, 1)
		var failed error
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err == nil && meta.Sequence.Consumer != delivered+1 {
				err = errWalkGap
			}
			if failed == nil && err == nil {
				err = f(m, meta.Sequence.Stream)
			}
			if failed != nil || err != nil { // read on, so that the fetch ends
				failed = errors.Join(failed, err)
				continue
			}
			size = max(size, len(m.Data()))
			got, delivered, pending, *next = true, meta.Sequence.Consumer, meta.NumPending, meta.Sequence.Stream+1
		}
		if failed != nil {
			return failed
		}
		if !got {
			return errors.Join(errWalkGap, batch.Error())
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// dropConsumer removes a consumer that is not needed any more, which would go on
// its own later.
func (c *Conn) dropConsumer(info *jetstream.ConsumerInfo) {
	_ = c.nc.Publish(c.apiPrefix+"CONSUMER.DELETE."+info.Stream+"."+info.Name, nil)
}

// PurgeLineResults removes the results of a batch's lines.
func (c *Conn) PurgeLineResults(ctx context.Context, tenant, batch string) error {
	return c.purge(ctx, c.n.resultsStream(), c.n.result(tenant, batch, ">"))
}
