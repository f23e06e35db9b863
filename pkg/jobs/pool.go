package jobs

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// maxWaiting is how many pulls may wait at one consumer: its workers' slots.
const maxWaiting = 16384

// EnsurePool makes sure that the pool's consumers exist, one per class, so that
// its depth can be read and workers can pull. It asks NATS each time: call it when
// a pool turns up, not for every job. It keeps trying until ctx ends.
func (c *Conn) EnsurePool(ctx context.Context, pool string) error {
	if err := checkToken("pool", pool); err != nil {
		return fmt.Errorf("ensure pool: %w", err)
	}
	group, gctx := errgroup.WithContext(ctx)
	for _, class := range Classes() {
		group.Go(func() error {
			err := c.persist(gctx, "ensure pool", func(ctx context.Context) error {
				return c.ensureConsumer(ctx, class, pool)
			})
			if err != nil {
				return fmt.Errorf("ensure pool %s, class %s: %w", pool, class, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// ensureConsumer creates the durable of a class and pool, or sets the lease of the
// one that is there. Its other settings are left alone.
func (c *Conn) ensureConsumer(ctx context.Context, class Class, pool string) error {
	stream, name := c.n.jobsStream(class), c.n.consumer(pool)
	have, err := c.js.Consumer(ctx, stream, name)
	switch {
	case hasCode(err, jetstream.JSErrCodeConsumerNotFound):
		_, err = c.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
			Durable: name, Description: "pool " + pool + ", class " + class.String(),
			FilterSubject: c.n.poolFilter(class, pool),
			AckPolicy:     jetstream.AckExplicitPolicy, AckWait: c.cfg.AckWait,
			// Attempts are counted by the workers: a job that ran into this limit
			// would stay in the stream, seen by nobody.
			MaxDeliver: -1, MaxAckPending: -1, MaxWaiting: maxWaiting,
		})
		return err
	case err != nil:
		return err
	}
	cfg := have.CachedInfo().Config
	if cfg.AckWait == c.cfg.AckWait {
		return nil
	}
	cfg.AckWait = c.cfg.AckWait
	_, err = c.js.UpdateConsumer(ctx, stream, cfg)
	return err
}
