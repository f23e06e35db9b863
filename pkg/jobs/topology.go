package jobs

import "context"

func (c *Conn) prepare(ctx context.Context) error { return nil }

// EnsurePool makes sure that the pool's consumers exist.
func (c *Conn) EnsurePool(ctx context.Context, pool string) error { return nil }
