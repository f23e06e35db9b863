package jobs

import (
	"context"
	"time"
)

const restoreWait = 10 * time.Second

// restore creates again what a server lacks that came back without its data: streams,
// the pools' consumers, and what this connection had said of its pool's models. What
// was waiting there is lost, and keys have to be created anew.
func (c *Conn) restore(ctx context.Context, pools ...string) error {
	made, err := c.restoreStreams(ctx)
	if err != nil {
		return err
	}
	if made {
		if err := c.republish(ctx); err != nil {
			return err
		}
	}
	for _, pool := range pools {
		if err := c.EnsurePool(ctx, pool); err != nil {
			return err
		}
	}
	return nil
}

// republish says again what this connection last said of its pools.
func (c *Conn) republish(ctx context.Context) error {
	c.mu.Lock()
	said := make([]PoolModels, 0, len(c.said))
	for _, m := range c.said {
		said = append(said, m)
	}
	c.mu.Unlock()
	for _, m := range said {
		if err := c.PublishModels(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// restore looks after the streams of the queues in use.
func (cl *Client) restore() {
	ctx, cancel := context.WithTimeout(cl.ctx, restoreWait)
	defer cancel()
	var pools []string
	for _, pc := range cl.depth.inUse(time.Now()) {
		pools = append(pools, pc.pool)
	}
	if err := cl.conn.restore(ctx, pools...); err != nil && cl.ctx.Err() == nil {
		cl.log.Warn("queue not restored", "error", err)
	}
}
