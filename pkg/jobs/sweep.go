package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	sweepEvery = time.Second
	// sweepRenew is how often whoever sweeps says so, and sweepLease how long one is
	// waited for who does not.
	sweepRenew = 3 * time.Second
	sweepLease = 12 * time.Second
	// sweepSure is how long nobody must answer at an address until its owner counts as
	// dead: one that changes to another server is away for less.
	sweepSure = 2 * time.Second
)

// Sweep looks after kept jobs that nobody reads: it ends those whose deadline passed
// without a worker, queues those again that the queue lost, and hands those back at
// once whose worker is dead. It blocks until ctx ends. Every frontend calls it, one
// does it at a time, and what it does may be broken off anywhere and done twice.
//
// horizon is how long ago a job may have been submitted that has not ended.
func (cl *Client) Sweep(ctx context.Context, horizon time.Duration) {
	for ctx.Err() == nil {
		lease, err := cl.takeSweep(ctx)
		if err != nil {
			continue // ctx ended
		}
		err = cl.sweepOn(ctx, lease, horizon)
		lease.release(ctx)
		if ctx.Err() != nil {
			return
		}
		cl.log.Warn("kept jobs are not looked after for now", "error", err)
		pause(ctx, sweepEvery)
	}
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// sweepLeaseHeld is the right to sweep. It spares work; nothing depends on there
// being one.
type sweepLeaseHeld struct {
	c       *Conn
	address string
	sub     *nats.Subscription
	seq     uint64
	renewed time.Time
}

var (
	errSwept     = errors.New("another frontend sweeps")
	errSweepLost = errors.New("another frontend took over")
)

// takeSweep waits until nobody sweeps and takes the lease. Its error is the cause of
// ctx.
func (cl *Client) takeSweep(ctx context.Context) (*sweepLeaseHeld, error) {
	c := cl.conn
	l := &sweepLeaseHeld{c: c, address: c.n.sweeping(NewID())}
	var err error
	for l.sub == nil {
		l.sub, err = c.nc.Subscribe(l.address, func(m *nats.Msg) { _ = m.Respond(nil) })
		if err != nil && !pause(ctx, sweepEvery) {
			return nil, context.Cause(ctx)
		}
	}
	var seen uint64
	var since time.Time
	for {
		m, err := c.leaderGet(ctx, c.n.keptStream(), question{LastFor: c.n.sweep()})
		now := time.Now()
		switch {
		case errors.Is(err, errNotStored):
			err = l.write(ctx, 0)
		case err == nil && m.Seq != seen:
			seen, since = m.Seq, now
			fallthrough
		case err == nil:
			if err = errSwept; now.Sub(since) >= sweepLease || c.nobodyAt(ctx, string(m.Data)) {
				err = l.write(ctx, m.Seq)
			}
		}
		if err == nil {
			return l, nil
		}
		if !pause(ctx, sweepEvery) {
			l.release(ctx)
			return nil, context.Cause(ctx)
		}
	}
}

// write stores the lease in the place of the one with this number.
func (l *sweepLeaseHeld) write(ctx context.Context, over uint64) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	ack, err := l.c.js.Publish(ctx, l.c.n.sweep(), []byte(l.address),
		jetstream.WithExpectStream(l.c.n.keptStream()), jetstream.WithExpectLastSequencePerSubject(over))
	if err != nil {
		return err
	}
	l.seq, l.renewed = ack.Sequence, time.Now()
	return nil
}

// renew keeps the lease, if it is time to. Its error says that it is lost.
func (l *sweepLeaseHeld) renew(ctx context.Context) error {
	if time.Since(l.renewed) < sweepRenew {
		return nil
	}
	err := l.write(ctx, l.seq)
	switch {
	case err == nil:
		return nil
	case refusedAsTaken(err):
		m, err := l.c.leaderGet(ctx, l.c.n.keptStream(), question{LastFor: l.c.n.sweep()})
		switch {
		case err == nil && string(m.Data) == l.address: // its ack was lost
			l.seq, l.renewed = m.Seq, time.Now()
			return nil
		case err == nil:
			return errSweepLost
		case errors.Is(err, errNotStored):
			l.seq = 0
		}
	}
	if time.Since(l.renewed) > sweepLease {
		return errors.Join(errSweepLost, err)
	}
	return nil
}

// release lets others find out at once that nobody sweeps.
func (l *sweepLeaseHeld) release(ctx context.Context) {
	_ = l.sub.Unsubscribe()
	if l.seq == 0 || l.c.Ready() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = l.c.nc.RequestWithContext(ctx, l.c.apiPrefix+"STREAM.MSG.DELETE."+l.c.n.keptStream(), deletion(l.seq))
}

// nobodyAt reports whether it is certain that nobody listens at an address.
func (c *Conn) nobodyAt(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err := c.nc.RequestWithContext(ctx, address, nil)
	return errors.Is(err, nats.ErrNoResponders)
}

// sweepOn sweeps until ctx ends or the lease is lost.
func (cl *Client) sweepOn(ctx context.Context, lease *sweepLeaseHeld, horizon time.Duration) error {
	open := &openJobs{cl: cl, from: time.Now().Add(-horizon), jobs: map[ID]*openJob{}}
	defer open.close(ctx)
	held := &heldJobs{cl: cl, suspects: map[uint64]*suspectJob{}}
	tick := time.NewTimer(cl.conn.untilRound(sweepEvery))
	defer tick.Stop()
	for {
		if err := lease.renew(ctx); err != nil {
			return err
		}
		if err := held.look(ctx); err != nil && ctx.Err() == nil {
			cl.log.Warn("jobs of dead workers wait for their leases", "error", err)
		}
		if err := open.follow(ctx, lease.renew); err != nil && ctx.Err() == nil {
			cl.log.Warn("kept jobs are not followed", "error", err)
		} else if err == nil {
			open.look(ctx)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			tick.Reset(cl.conn.untilRound(sweepEvery))
		}
	}
}
