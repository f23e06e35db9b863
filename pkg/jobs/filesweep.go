package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// sweptAfter is how long parts may lie without an entry: uploads that are under way
// write more often.
const sweptAfter = time.Hour

// SweepFiles removes parts that belong to nothing: of uploads that died, and of
// files that have expired. It returns how many files' parts those were. Any number
// of processes may do it together; once an hour is enough. It keeps trying until
// ctx ends.
func (c *Conn) SweepFiles(ctx context.Context) (swept int, err error) {
	return c.sweepFiles(ctx, sweptAfter)
}

func (c *Conn) sweepFiles(ctx context.Context, age time.Duration) (swept int, err error) {
	// Uploads first: one that is committed meanwhile has its entry in the second list.
	first := map[string]string{} // by upload: tenant
	prefix := c.n.ns + ".files."
	err = c.eachSubject(ctx, c.n.filesStream(), c.n.filePart("*", "*", 0), func(subject string) {
		t := strings.Split(strings.TrimPrefix(subject, prefix), ".")
		first[t[1]] = t[0]
	})
	if err != nil {
		return 0, fmt.Errorf("sweep files: %w", err)
	}
	err = c.eachSubject(ctx, c.n.filesStream(), c.n.fileEntries("*", "*"), func(subject string) {
		if e, ok := c.n.parseEntry(subject); ok {
			delete(first, e.upload)
		}
	})
	if err != nil {
		return 0, fmt.Errorf("sweep files: %w", err)
	}
	err = c.eachSubject(ctx, c.n.filesStream(), c.n.fileHold("*", "*", "*"), func(subject string) {
		t := strings.Split(strings.TrimPrefix(subject, prefix), ".")
		delete(first, t[2])
	})
	if err != nil {
		return 0, fmt.Errorf("sweep files: %w", err)
	}
	for upload, tenant := range first {
		parts := c.n.fileParts(tenant, upload)
		m, err := c.leaderGet(ctx, c.n.filesStream(), question{LastFor: parts})
		if errors.Is(err, errNotStored) || err == nil && time.Since(m.Time) < age {
			continue
		}
		if err == nil {
			err = c.purge(ctx, c.n.filesStream(), parts)
		}
		if err != nil {
			return swept, fmt.Errorf("sweep files: %w", err)
		}
		swept++
	}
	return swept, nil
}
