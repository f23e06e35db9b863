package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
)

// RestoreRuns hands batches to the drivers that no driver would ever hear of: their
// runs were lost with the broker's memory of them. It returns how many. Any number of
// processes may do it together, seldom: it reads every batch that has no run.
func (c *Conn) RestoreRuns(ctx context.Context) (restored int, err error) {
	// Batches first: one that is created meanwhile has its run in the second list, and
	// one that ends is seen to have.
	tenants := map[string]string{} // by batch
	prefix := strings.TrimSuffix(c.n.batchKey("*", "*"), "*.*")
	err = c.eachSubject(ctx, c.n.bucketStream(c.n.batchesBucket()), c.n.batchKey("*", "*"), func(subject string) {
		tenant, batch, _ := strings.Cut(strings.TrimPrefix(subject, prefix), ".")
		tenants[batch] = tenant
	})
	if err != nil {
		return 0, fmt.Errorf("restore runs: %w", err)
	}
	err = c.eachSubject(ctx, c.n.runsStream(), c.n.runsFilter(), func(subject string) {
		delete(tenants, subject[lastToken(subject):])
	})
	if err != nil {
		return 0, fmt.Errorf("restore runs: %w", err)
	}
	lost := make(chan struct{}, len(tenants))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(listReads)
	for batch, tenant := range tenants {
		group.Go(func() error {
			b, err := c.Batch(gctx, tenant, batch)
			if errors.Is(err, ErrNoBatch) || err == nil && b.Object.Status.Ended() {
				return nil
			}
			if err == nil {
				err = c.publishRun(gctx, tenant, batch)
			}
			lost <- struct{}{}
			return err
		})
	}
	err = group.Wait()
	return len(lost), err
}
