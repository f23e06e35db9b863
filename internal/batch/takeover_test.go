package batch

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// A driver that takes over a batch that is being cancelled lets the lines end that
// run, and none begin.
func TestTakeoverOfACancelledBatchDrains(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		r.cfg.Drain = 30 * time.Second
		running, release := make(chan struct{}, 64), make(chan struct{})
		runs := r.blockingWorker(2, running, release)
		first := r.driver(nil)
		input := repeat("hi", 6)
		id := r.create(input, nil)
		<-running
		<-running
		first.stop()
		if _, err := r.conn.CancelBatch(t.Context(), "acme", id); err != nil {
			t.Fatal(err)
		}
		r.driver(nil)
		within(t, patience, "what waits is taken out of the queue", func() bool {
			queued, err := r.conn.LinesQueued(t.Context(), "acme", id)
			return err == nil && len(queued) == 2
		})
		if b := r.get(id).Object; b.Status != protocol.BatchCancelling {
			t.Errorf("while lines run: %s", b.AppendJSON(nil))
		}
		close(release)
		b := r.end(id, patience)
		if r.check(b, input); b.Status != protocol.BatchCancelled || b.Counts.Completed != 2 || runs.Load() != 2 {
			t.Errorf("%d ran: %s", runs.Load(), b.AppendJSON(nil))
		}
		r.nothingLeft(id)
	})
}

// Lines that never end do not keep a cancelled batch from ending, whoever drives it.
func TestTakeoverOfACancelledBatchDrainsForAWhile(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	r.cfg.Drain = time.Second
	running, release := make(chan struct{}, 64), make(chan struct{})
	defer close(release)
	r.workerOf("default", 2, blocking(running, release))
	first := r.driver(nil)
	input := repeat("hi", 3)
	id := r.create(input, nil)
	<-running
	first.stop()
	if _, err := r.conn.CancelBatch(t.Context(), "acme", id); err != nil {
		t.Fatal(err)
	}
	r.driver(nil)
	b := r.end(id, patience)
	if fates := r.check(b, input); b.Status != protocol.BatchCancelled || fates["c0"] != "batch_cancelled" {
		t.Errorf("%s", b.AppendJSON(nil))
	}
}

// Who takes a batch over knows how often its lines were tried: none begins anew.
func TestTakeoverKeepsTries(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		tried := make(chan jobs.ID, 64)
		var well atomic.Bool
		r.workerOf("default", 2, func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
			if well.Load() {
				return answer(ctx, a)
			}
			tried <- a.Job().ID
			return jobs.Outcome{}, protocol.ErrUnavailable("Not now.", 0)
		})
		driver := r.driver(nil)
		input := words("hi")
		id := r.create(input, nil)
		seen := map[jobs.ID]bool{}
		next := func() {
			t.Helper()
			select {
			case tried := <-tried:
				if seen[tried] {
					t.Error("the line is tried under an earlier number again")
				}
				seen[tried] = true
			case <-time.After(patience):
				t.Fatal("the line is not tried again")
			}
		}
		next()
		next()
		within(t, patience, "the failure is known", func() bool {
			queued, err := r.conn.LinesQueued(t.Context(), "acme", id)
			return err == nil && len(queued) == 0
		})
		sleep(t.Context(), 2*lookEvery) // its driver is told of it
		driver.stop()
		if b := r.get(id).Backlog; b == nil || b.Tries[1] != 2 {
			t.Errorf("left behind: %+v", b)
		}
		r.driver(nil)
		next()
		well.Store(true)
		r.check(r.end(id, patience), input)
	})
}

func TestThrottleRestore(t *testing.T) {
	now := time.Unix(1000, 0)
	var th throttle
	if th.restore(0, now.Add(time.Hour), now); th.failing() || th.room(100, now) != 100 {
		t.Errorf("of a batch that ran well: %+v", th)
	}
	th.restore(9, now.Add(5*time.Second), now)
	if !th.failing() || th.room(1000, now) != 0 || th.room(1000, now.Add(5*time.Second)) != probes {
		t.Errorf("of one that failed: %+v", th)
	}
	if th.restore(9, now.Add(time.Hour), now); th.room(1000, now.Add(retryMost)) == 0 {
		t.Error("another's clock stops the batch")
	}
}
