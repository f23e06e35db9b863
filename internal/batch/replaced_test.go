package batch

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// replace does what a driver does that took the batch over and ended it.
func (r *rig) replace(id string, end func(b *protocol.Batch)) {
	r.t.Helper()
	b := r.get(id)
	b.Fence++
	end(&b.Object)
	if err := r.conn.WriteBatch(r.t.Context(), b); err != nil {
		r.t.Error(err)
	}
	if err := r.conn.PurgeLineResults(r.t.Context(), "acme", id); err != nil {
		r.t.Error(err)
	}
}

// TestReplacedDriverRunsNothing holds a driver up at a moment, has another one end
// the batch meanwhile, and lets it go on: it must find out before it submits a line.
func TestReplacedDriverRunsNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		at    string // what it wrote last
		pause time.Duration
		end   func(b *protocol.Batch)
	}{
		"while it writes the files": {
			at:  "finalize",
			end: func(b *protocol.Batch) { b.End(protocol.BatchOutcome{Counts: b.Counts}, time.Now()) },
		},
		"while lines run": {
			at: "count", pause: pollEvery,
			end: func(b *protocol.Batch) {
				b.Finalize(time.Now())
				b.End(protocol.BatchOutcome{Counts: protocol.BatchCounts{Total: 3, Completed: 3}}, time.Now())
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, jobstest.One(t))
			r.cfg.LinesMost = 1
			var ran atomic.Int64
			r.workerOf("default", 4, func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
				ran.Add(1)
				sleep(ctx, 2*countEvery) // so that counts are written before the last line
				return answer(ctx, a)
			})
			held, release, buried := make(chan struct{}), make(chan struct{}), make(chan struct{})
			var hold, bury sync.Once
			r.driver(func(d *Driver) {
				d.wrote = func(what string) {
					switch what {
					case tt.at:
						hold.Do(func() { close(held); <-release })
					case "purge": // of the next turn, which waits for this one
						bury.Do(func() { close(buried) })
					}
				}
			})
			id := r.create(repeat("hi", 3), nil)
			select {
			case <-held:
			case <-time.After(patience):
				close(release)
				t.Fatal("the driver does not write " + tt.at)
			}
			r.replace(id, tt.end)
			sleep(t.Context(), tt.pause)
			before := ran.Load()
			close(release)
			select {
			case <-buried:
			case <-time.After(patience):
				t.Fatal("the driver does not stop")
			}
			if n := ran.Load(); n != before {
				t.Errorf("%d lines ran, %d of them too late", n, n-before)
			}
		})
	}
}

// TestBatchLeavesNoLineInTheQueue ends a batch of which a line is queued twice: once
// by a driver that is gone, in a pool that is slower.
func TestBatchLeavesNoLineInTheQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	r.worker(4)
	var id string
	created := make(chan struct{})
	var once sync.Once
	r.driver(func(d *Driver) {
		d.wrote = func(what string) {
			if what == "start" {
				once.Do(func() { <-created; r.stray(d, id) })
			}
		}
	})
	id = r.create(words("hi"), nil)
	close(created)
	b := r.end(id, patience)
	if b.Status != protocol.BatchCompleted {
		t.Errorf("%s", b.AppendJSON(nil))
	}
	r.nothingLeft(id)
	within(t, patience, "no line is queued", func() bool {
		queued, err := r.conn.LinesQueued(t.Context(), "acme", id)
		return err == nil && len(queued) == 0
	})
}

// stray queues the first line of a batch where nobody works.
func (r *rig) stray(d *Driver, batch string) {
	id, err := jobs.LineID(batch, 1, 7)
	if err != nil {
		r.t.Error(err)
		return
	}
	s, err := d.client.Submit(r.t.Context(), &jobs.Job{
		ID: id, Tenant: "acme", Key: r.key.ID, Model: "m2", Pool: "other", Class: jobs.Batch, Created: time.Now().Unix(),
		Timeout: time.Hour, Body: []byte(`{}`), Keep: &jobs.Keep{Batch: batch, Line: 1},
	})
	if err != nil {
		r.t.Error(err)
		return
	}
	within(r.t, patience, "the stray line is queued", s.Stored)
	s.Close()
}
