package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	scanBatch = 500
	scanMost  = 1_000_000 // messages; a usage message holds the lines of up to 32 KiB
)

// errScanned ends a scan early.
var errScanned = errors.New("seen enough")

// scanUsage calls f with every line of the usage stream that was written between two
// times, of one tenant or of all ("*"). An error of f ends it.
func (c *Conn) scanUsage(ctx context.Context, tenant string, from, to time.Time, f func(line []byte) error) error {
	return c.scanStream(ctx, c.n.usageStream(), c.n.usage(tenant), from, func(data []byte, at time.Time) error {
		if at.After(to) {
			return errScanned
		}
		for line := range bytes.Lines(data) {
			if err := f(line); err != nil {
				return err
			}
		}
		return nil
	})
}

// scanStream calls f with every message of a stream that filter selects, from a time
// on, in order, up to the present end. Messages that arrive meanwhile may be missed.
func (c *Conn) scanStream(ctx context.Context, stream, filter string, from time.Time, f func(data []byte, at time.Time) error) error {
	var consumer jetstream.Consumer
	err := c.persist(ctx, "scan "+stream, func(ctx context.Context) (err error) {
		consumer, err = c.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
			FilterSubject: filter, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1,
			DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &from, InactiveThreshold: time.Minute,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("scan %s: %w", stream, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
		defer cancel()
		_ = c.js.DeleteConsumer(ctx, stream, consumer.CachedInfo().Name) // it ends by itself too
	}()
	left := min(consumer.CachedInfo().NumPending, scanMost)
	for left > 0 {
		batch, err := consumer.Fetch(int(min(left, scanBatch)), jetstream.FetchMaxWait(attemptTimeout))
		if err != nil {
			return fmt.Errorf("scan %s: %w", stream, err)
		}
		got := uint64(0)
		for m := range batch.Messages() {
			got++
			about, err := m.Metadata()
			if err == nil {
				err = f(m.Data(), about.Timestamp)
			}
			if err == errScanned {
				return nil
			}
			if err != nil {
				return err
			}
		}
		if got == 0 { // they expired meanwhile, or nobody answers
			return batch.Error()
		}
		left -= min(got, left)
	}
	return nil
}
