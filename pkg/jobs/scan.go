package jobs

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// scanMost bounds how many messages a scan reads.
const scanMost = 1_000_000

// errScanned ends a scan early.
var errScanned = errors.New("seen enough")

// scanUsage calls f with every line of the usage stream that was written between two
// times, of one tenant or of all ("*"). An error of f ends it.
func (c *Conn) scanUsage(ctx context.Context, tenant string, from, to time.Time, f func(line []byte) error) error {
	return c.scanStream(ctx, c.n.usageStream(), c.n.usage(tenant), from, func(m *stored) error {
		if m.Time.After(to) {
			return errScanned
		}
		for line := range bytes.Lines(m.Data) {
			if err := f(line); err != nil {
				return err
			}
		}
		return nil
	})
}

// scanStream calls f with every message of a stream that filter selects, from a time
// on, in order, up to the present end. errScanned of f ends it well.
func (c *Conn) scanStream(ctx context.Context, stream, filter string, from time.Time, f func(m *stored) error) error {
	first, err := c.leaderGet(ctx, stream, question{From: &from, NextFor: filter})
	if errors.Is(err, errNotStored) {
		return nil
	}
	if err != nil {
		return err
	}
	list, read := []*stored{first}, 0
	for len(list) > 0 && read < scanMost {
		for _, m := range list {
			if err := f(m); errors.Is(err, errScanned) {
				return nil
			} else if err != nil {
				return err
			}
		}
		read += len(list)
		if list, err = c.page(ctx, stream, filter, list[len(list)-1].Seq+1); err != nil {
			return err
		}
	}
	return nil
}
