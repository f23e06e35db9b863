package batch

import (
	"context"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// as is the same installation for another tenant.
func (r *rig) as(tenant string) *rig {
	r.t.Helper()
	other := *r
	var err error
	if other.key, _, err = r.conn.CreateKey(r.t.Context(), jobs.KeySpec{Name: tenant, Tenant: tenant}); err != nil {
		r.t.Fatal(err)
	}
	return &other
}

// held blocks lines of one tenant until release is closed, and answers the others.
func held(tenant string, release <-chan struct{}) jobs.Handler {
	block := blocking(nil, release)
	return func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		if a.Job().Tenant == tenant {
			return block(ctx, a)
		}
		return answer(ctx, a)
	}
}

// One tenant's batches fill every place: another's runs all the same, one that waits
// can be cancelled at once, and expires in time. None of their lines runs twice.
func TestBatchesTakeTurns(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		r.cfg.Running = 2
		rival := r.as("rival")
		release := make(chan struct{})
		r.workerOf("default", 16, held("acme", release))
		r.driver(nil)
		input := words("hi", "hi")
		var ids []string
		for range 4 {
			ids = append(ids, r.create(input, nil))
		}
		for _, id := range ids[:2] {
			r.await(id, patience, "running", func(b *protocol.Batch) bool { return b.Status == protocol.BatchInProgress })
		}
		expiring := r.create(input, func(b *jobs.StoredBatch) { b.Object.ExpiresAt = b.Object.CreatedAt + 3 })
		theirs := rival.create(input, nil)
		b := rival.end(theirs, 20*time.Second)
		if rival.check(b, input); b.Status != protocol.BatchCompleted {
			t.Errorf("%s", b.AppendJSON(nil))
		}
		if _, err := r.conn.CancelBatch(t.Context(), "acme", ids[3]); err != nil {
			t.Fatal(err)
		}
		if b := r.end(ids[3], patience); b.Status != protocol.BatchCancelled {
			t.Errorf("%s", b.AppendJSON(nil))
		}
		b = r.end(expiring, patience)
		if fates := r.check(b, input); b.Status != protocol.BatchExpired || fates["c0"] != "batch_expired" {
			t.Errorf("%s", b.AppendJSON(nil))
		}
		close(release)
		for _, id := range ids[:3] {
			b := r.end(id, patience)
			if r.check(b, input); b.Status != protocol.BatchCompleted {
				t.Errorf("%s", b.AppendJSON(nil))
			}
		}
	})
}

// What waits at one driver is taken by another that is free.
func TestBatchesMoveToWhoIsFree(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		r.cfg.Running = 1
		release := make(chan struct{})
		r.workerOf("default", 16, held("acme", release))
		first := r.driver(nil)
		input := words("hi")
		ids := []string{r.create(input, nil), r.create(input, nil)}
		within(t, patience, "one is driven and one waits", func() bool {
			driven, waiting := first.places.count()
			return driven == 1 && waiting == 1
		})
		r.driver(nil)
		for _, id := range ids {
			r.await(id, patience, "running", func(b *protocol.Batch) bool { return b.Status == protocol.BatchInProgress })
		}
		close(release)
		for _, id := range ids {
			r.check(r.end(id, patience), input)
		}
	})
}
