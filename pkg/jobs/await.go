package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	awaitSoon   = time.Second      // first look at a result that no message told of
	awaitAtMost = 15 * time.Second // later ones
	// confirmFor is how long a result that a message told of may take until the
	// leader has it.
	confirmFor = 2 * time.Second
)

// AwaitKept returns a kept job once it has ended. Errors are those of Kept; when ctx
// ends first, its cause is in the chain.
func (cl *Client) AwaitKept(ctx context.Context, tenant string, id ID, opt KeptOptions) (*Kept, error) {
	if !validToken(tenant) {
		return nil, ErrNotKept
	}
	told, stop, err := cl.conn.tellResult(tenant, id)
	if err != nil {
		return nil, keptError("await kept job", err)
	}
	defer stop()
	for poll := awaitSoon; ; poll = min(2*poll, awaitAtMost) {
		k, err := cl.Kept(ctx, tenant, id, opt)
		if err != nil || k.Result != nil {
			return k, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("await kept job: %w", context.Cause(ctx))
		case <-cl.ctx.Done():
			return nil, ErrClosed
		case <-time.After(poll):
		case <-told:
			if err := cl.conn.confirm(ctx, tenant, id); err != nil {
				return nil, keptError("await kept job", err)
			}
		}
	}
}

// tellResult receives a message whenever somebody offers a result of the job. It may
// be one that came second, and it may come before the first is stored: it is only a
// reason to look.
func (c *Conn) tellResult(tenant string, id ID) (told chan *nats.Msg, stop func(), err error) {
	told = make(chan *nats.Msg, 16)
	sub, err := c.nc.ChanSubscribe(c.n.result(tenant, hourOf(id), id.String()), told)
	if err != nil {
		return nil, nil, fmt.Errorf("subscribe to a result: %w", err)
	}
	return told, func() { _ = sub.Unsubscribe() }, nil
}

// confirm waits until the leader has the result that a message told of, or it seems
// that it will not come.
func (c *Conn) confirm(ctx context.Context, tenant string, id ID) error {
	for end, wait := time.Now().Add(confirmFor), 2*time.Millisecond; time.Now().Before(end); wait *= 2 {
		r, err := c.resultIfAny(ctx, tenant, id)
		if err != nil || r != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
	return nil
}
