package jobs

import (
	"context"
	"encoding/json"
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
	"github.com/osiris/osiris/pkg/protocol"
)

var pulls = flag.Int("pulls", 3_000, "jobs that TestPullsNeverStall pulls")

// TestPullsNeverStall pulls jobs by workers of one slot each, so one at a time,
// while every core is busy. No job may take longer than longestPull: the library's
// iterators stall about once in 25,000 pulls (run it with -pulls 1000000). Many jobs
// get more workers: on three nodes it is a round of messages that each one waits for.
func TestPullsNeverStall(t *testing.T) {
	workers := min(max(8, *pulls/1000), 64)
	waiting := 2 * workers
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		r := newRig(t, n, Config{})
		cl := r.client()
		for range workers {
			r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte("x")) })
		}
		stop := make(chan struct{})
		var burn sync.WaitGroup
		defer burn.Wait()
		defer close(stop)
		for range runtime.GOMAXPROCS(0) {
			burn.Go(func() { spin(stop) })
		}
		begun := time.Now()
		var left atomic.Int64
		left.Store(int64(*pulls))
		var slowest atomic.Int64
		var clients sync.WaitGroup
		for range waiting {
			clients.Go(func() {
				for left.Add(-1) >= 0 && !t.Failed() {
					sent := time.Now()
					s, err := cl.Submit(t.Context(), newJob("{}"))
					if err != nil {
						t.Error(err)
						return
					}
					res := collect(s, patience)
					s.Close()
					took := time.Since(sent)
					if res.text != "x" || took > longestPull {
						t.Errorf("after %d jobs: %+v in %s", int64(*pulls)-left.Load(), res, took)
					}
					for old := slowest.Load(); int64(took) > old && !slowest.CompareAndSwap(old, int64(took)); old = slowest.Load() {
					}
				}
			})
		}
		clients.Wait()
		t.Logf("%d jobs in %s, the slowest in %s", *pulls, time.Since(begun).Round(time.Millisecond), time.Duration(slowest.Load()))
	})
}

// spin keeps a core busy, as other work on the machine would.
func spin(stop <-chan struct{}) {
	for x := uint64(1); ; {
		for range 20_000 {
			x = x*6364136223846793005 + 1
		}
		select {
		case <-stop:
			return
		default:
			runtime.Gosched()
		}
	}
}

// A background job waits for no round of looking, although others come back again and
// again meanwhile, and its hint comes when the worker is just asking.
func TestHintWhileAsking(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.worker(64, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if string(a.Job().Body) == "busy" {
				return Outcome{}, protocol.ErrOverloaded(time.Second)
			}
			return Outcome{}, a.Answer([]byte("{}"))
		})
		for range 20 {
			j := backgroundJob()
			j.Body = []byte("busy")
			if err := cl.SubmitBackground(t.Context(), j); err != nil {
				t.Fatal(err)
			}
		}
		late := 0
		for i := range 60 {
			j := newJob("{}")
			j.Stream, j.Class = false, Background
			began := time.Now()
			if res := collect(r.submit(cl, j), patience); res.text != "{}" {
				t.Fatalf("%d: %+v", i, res)
			}
			if time.Since(began) > 600*time.Millisecond {
				late++
			}
		}
		if late > 3 { // the machine may stand still now and then
			t.Errorf("%d of 60 waited for the next round", late)
		}
	})
}

// A worker that gets nothing asks less and less often, and as before once it had a job.
func TestIdleWorkerAsksLess(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		lives := make(chan time.Duration, 64)
		subject := r.conn.apiPrefix + "CONSUMER.MSG.NEXT." + r.conn.n.jobsStream(Interactive) + ".>"
		if _, err := r.conn.nc.Subscribe(subject, func(m *nats.Msg) {
			var asked struct{ Expires time.Duration }
			if err := json.Unmarshal(m.Data, &asked); err != nil {
				t.Error(err)
			}
			lives <- asked.Expires
		}); err != nil {
			t.Fatal(err)
		}
		if err := r.conn.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		r.worker(1, say("x"))
		for last := pullExpires; last < pullLongest; {
			got := <-lives
			if got != last && got != 2*last {
				t.Fatalf("a request lives %s, the one before it lived %s", got, last)
			}
			last = got
		}
		if res := collect(r.submit(r.client(), newJob("{}")), patience); res.failed != nil {
			t.Fatalf("%+v", res)
		}
		for limit := time.After(patience); ; {
			select {
			case got := <-lives:
				if got == pullExpires {
					return
				}
			case <-limit:
				t.Fatal("after a job requests live as long as before")
			}
		}
	})
}
