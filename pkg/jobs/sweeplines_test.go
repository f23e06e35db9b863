package jobs

import (
	"context"
	"sync/atomic"
	"testing"
)

// Lines whose worker and driver died together, and of which whoever comes next heard
// nothing, are not waited for as long as their lease lasts; those that still run are left
// alone.
func TestSweepTakesLinesFromTheDead(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl, batch := r.client(), NewBatchID()
		submit := func(line int) *Job {
			id, err := LineID(batch, line, 0)
			if err != nil {
				t.Fatal(err)
			}
			j := newJob(`{}`)
			j.ID, j.Class, j.Stream, j.Keep = id, Batch, false, &Keep{Batch: batch, Line: line}
			r.submit(cl, j)
			return j
		}
		var dying hold
		dead := r.worker(2, dying.run)
		lines := []*Job{submit(1), submit(2)}
		within(t, patience, "lines run", func() bool { return dying.running.Load() == 2 })
		dead.conn.nc.Close()

		var runs atomic.Int32
		begun, release := make(chan struct{}, 8), make(chan struct{})
		r.worker(1, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if a.Job().Keep.Line == 3 {
				runs.Add(1)
				begun <- struct{}{}
				<-release
			}
			return Outcome{}, a.Answer([]byte(`{"x":1}`))
		})
		alive := submit(3)
		<-begun
		cl.conn.nc.Close()

		r.sweeper(r.client())
		r.worker(2, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte(`{"x":1}`)) })
		for _, j := range lines {
			if res := r.resultOf(j); res.Status != Completed {
				t.Errorf("%+v", res)
			}
		}
		close(release)
		if res := r.resultOf(alive); res.Status != Completed || runs.Load() != 1 {
			t.Errorf("%+v after %d runs", res, runs.Load())
		}
	})
}
