package jobs

import (
	"container/heap"
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// sweeper lets a client sweep until stop.
func (r *rig) sweeper(cl *Client) (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { cl.Sweep(ctx, time.Hour) })
	stop = func() { cancel(); wg.Wait() }
	r.t.Cleanup(stop)
	return stop
}

// ended waits until a job has a result that nobody asked for.
func (r *rig) ended(j *Job, limit time.Duration) *Result {
	r.t.Helper()
	var res *Result
	within(r.t, limit, "job has ended", func() bool {
		var err error
		res, err = r.conn.resultIfAny(r.t.Context(), j.Tenant, j.ID)
		return err == nil && res != nil
	})
	return res
}

func backgroundJob() *Job {
	j := newJob("{}")
	j.Stream, j.Class, j.Keep = false, Background, &Keep{Background: true}
	return j
}

// A job that nobody runs and nobody reads is ended after its deadline, and leaves the
// queue.
func TestSweepEndsAtTheDeadline(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.sweeper(cl)
		j, hidden := backgroundJob(), backgroundJob()
		j.Timeout, hidden.Timeout, hidden.Keep.Hidden = time.Second, 2*time.Second, true
		for _, j := range []*Job{j, hidden} {
			if err := cl.SubmitBackground(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			if res := r.ended(j, patience); res.Status != Errored || res.Error.Status != http.StatusGatewayTimeout {
				t.Errorf("%+v", res)
			}
		}
		r.empty()
	})
}

// A job that the queue lost is queued again although nobody asks.
func TestSweepQueuesAgain(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := backgroundJob()
		j.Keep.Background = false
		r.label(j) // and nothing is in the queue
		gone := backgroundJob()
		r.label(gone)
		if err := r.conn.purge(t.Context(), r.conn.n.keptStream(), r.conn.n.keptAll(gone.Tenant, gone.ID)); err != nil {
			t.Fatal(err)
		}
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte(`{"x":1}`)) })
		r.sweeper(cl)
		if res := r.ended(j, patience); res.Status != Completed {
			t.Errorf("%+v", res)
		}
		r.empty()
	})
}

// A job whose worker died, and that nobody watched, runs again long before its lease
// is over; one whose worker lives goes on there.
func TestSweepTakesFromTheDead(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var alive hold
		living := r.worker(1, alive.run)
		kept := backgroundJob()
		if err := cl.SubmitBackground(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		within(t, patience, "runs", func() bool { return alive.running.Load() == 1 })
		var died hold
		dying := r.worker(2, died.run)
		plain, streamed := backgroundJob(), backgroundJob()
		streamed.Stream = true
		for _, j := range []*Job{plain, streamed} {
			if err := cl.SubmitBackground(t.Context(), j); err != nil {
				t.Fatal(err)
			}
		}
		within(t, patience, "both run", func() bool { return died.running.Load() == 2 })
		dying.conn.nc.Close() // as kill -9 does
		r.worker(2, say(event("whole", ""), event("", "stop")))
		r.sweeper(r.client()) // a frontend that was started later
		for _, j := range []*Job{plain, streamed} {
			if res := r.ended(j, patience); res.Status != Completed {
				t.Errorf("%+v", res)
			}
		}
		if alive.ended.Load() != 0 || living.Busy() != 1 {
			t.Error("taken from a worker that lives")
		}
	})
}

// A job that a worker got and never announced is not waited for either.
func TestSweepFindsUnannounced(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		first := backgroundJob() // its events are older than the job that is stranded
		k := r.worker(1, say(event("x", ""), event("", "stop")))
		if err := cl.SubmitBackground(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		r.ended(first, patience)
		if err := k.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		dying := r.connect()
		got := make(chan *nats.Msg, 1)
		inbox := dying.nc.NewInbox()
		if _, err := dying.nc.Subscribe(inbox, func(m *nats.Msg) { got <- m }); err != nil {
			t.Fatal(err)
		}
		j := backgroundJob()
		if err := cl.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		next := dying.apiPrefix + "CONSUMER.MSG.NEXT." + dying.n.jobsStream(Background) + "." + dying.n.consumer("default")
		if err := dying.nc.PublishRequest(next, inbox, []byte("1")); err != nil {
			t.Fatal(err)
		}
		<-got
		dying.nc.Close()
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte(`{"x":1}`)) })
		r.sweeper(cl)
		if res := r.ended(j, patience); res.Status != Completed {
			t.Errorf("%+v", res)
		}
	})
}

// A job that was over before its worker announced it is not given to another one.
func TestSweepLeavesWhatHasEnded(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := backgroundJob()
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte(`{"x":1}`)) })
		if err := cl.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		r.ended(j, patience)
		naks := make(chan *nats.Msg, 1)
		if _, err := r.conn.nc.Subscribe("$JS.ACK."+r.conn.n.jobsStream(j.Class)+".>", func(m *nats.Msg) {
			if string(m.Data) != string(ackAck) {
				naks <- m
			}
		}); err != nil {
			t.Fatal(err)
		}
		held := &heldJobs{cl: cl}
		suspect := &suspectJob{seq: 1, stored: time.Now().Add(-time.Minute), job: j, pc: poolClass{j.Pool, j.Class}}
		if err := held.handBack(t.Context(), suspect); err != nil {
			t.Fatal(err)
		}
		if err := cl.conn.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := r.conn.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-naks:
			t.Errorf("%s to %s", m.Data, m.Subject)
		default:
		}
	})
}

// Everything is killed while a background job runs and started again: it is answered
// within seconds.
func TestSweepAfterEverythingDied(t *testing.T) {
	t.Parallel()
	natstest.EachOwn(t, func(t *testing.T, n *natstest.NATS) {
		r := newRig(t, n, Config{})
		cl := r.client()
		r.sweeper(cl)
		var h hold
		k := r.worker(1, h.run)
		j := backgroundJob()
		if err := cl.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		within(t, patience, "runs", func() bool { return h.running.Load() == 1 })
		within(t, patience, "announced", func() bool {
			at, err := r.conn.runsAt(t.Context(), j.ID, time.Now().Add(-time.Hour))
			return err == nil && at == k.instance
		})
		cl.conn.nc.Close()
		k.conn.nc.Close()
		for i := range n.Nodes() {
			n.Kill(i)
		}
		n.RestartAll(t)
		fresh := r.client()
		began := time.Now()
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte(`{"x":1}`)) })
		r.sweeper(fresh)
		if res := r.ended(j, election); res.Status != Completed {
			t.Errorf("%+v", res)
		}
		t.Logf("answered after %s", time.Since(began).Round(time.Millisecond))
	})
}

// One sweeps at a time; when it dies or stops another one does within seconds.
func TestSweepersTakeTurns(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		holder := func() string {
			m, err := r.conn.leaderGet(t.Context(), r.conn.n.keptStream(), question{LastFor: r.conn.n.sweep()})
			if err != nil {
				return ""
			}
			return string(m.Data)
		}
		first := r.client()
		r.sweeper(first)
		within(t, patience, "one sweeps", func() bool { return holder() != "" })
		was := holder()
		stop := r.sweeper(r.client())
		ctx, cancel := context.WithTimeout(t.Context(), 3*sweepEvery)
		defer cancel()
		<-ctx.Done()
		if holder() != was {
			t.Fatal("two sweep")
		}
		first.conn.nc.Close()
		within(t, patience, "the other one sweeps", func() bool { return holder() != was && holder() != "" })
		r.sweeper(r.client())
		was = holder()
		stop()
		within(t, patience, "the third one sweeps", func() bool { return holder() != was && holder() != "" })
	})
}

// Jobs are looked at again after a pause that grows, but in time for their deadline.
func TestWhenOpenJobsAreLookedAt(t *testing.T) {
	now := time.Now()
	j := &openJob{wait: firstOpenLook}
	j.later(now, lastOpenLook)
	if got := j.next.Sub(now); got != 2*firstOpenLook {
		t.Errorf("second look after %s", got)
	}
	for range 20 {
		j.later(now, lastOpenLook)
	}
	if got := j.next.Sub(now); got != lastOpenLook {
		t.Errorf("later looks after %s", got)
	}
	j.deadline = now.Add(10 * time.Second)
	if j.later(now, lastOpenLook); j.next != j.deadline.Add(overdue) {
		t.Errorf("looked at %s after the deadline", j.next.Sub(j.deadline))
	}
	j.deadline = now.Add(-time.Minute)
	if j.later(now, lastOpenLook); j.next.Sub(now) > firstOpenLook {
		t.Errorf("overdue, and looked at after %s", j.next.Sub(now))
	}
}

func TestOpenHeap(t *testing.T) {
	o := &openJobs{jobs: map[ID]*openJob{}}
	now := time.Now()
	var ids []ID
	for i := range 50 {
		j := &openJob{id: NewID(), next: now.Add(time.Duration(i*37%50) * time.Second)}
		o.jobs[j.id] = j
		heap.Push(&o.queue, j)
		ids = append(ids, j.id)
	}
	for _, id := range ids[:20] {
		o.forget(id)
	}
	var last time.Time
	for n := len(o.queue); n > 0; n-- {
		j := heap.Pop(&o.queue).(*openJob)
		if j.next.Before(last) || o.jobs[j.id] == nil {
			t.Fatal("out of order, or forgotten")
		}
		last = j.next
	}
	if len(o.jobs) != 30 {
		t.Errorf("%d jobs", len(o.jobs))
	}
}
