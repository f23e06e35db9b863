package jobs

import (
	"context"
	"slices"
	"testing"
	"time"
)

func TestDeadlineInTheQueue(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := newJob("{}")
		j.Timeout = 300 * time.Millisecond
		s := r.submit(cl, j)
		within(t, patience, "stored", s.Stored)
		<-time.After(400 * time.Millisecond)
		r.worker(1, func(context.Context, *Attempt) (Outcome, error) {
			t.Error("a job past its deadline was started")
			return Outcome{}, nil
		})
		if res := collect(s, patience); res.failed == nil || res.failed.Status != 504 {
			t.Fatalf("%+v", res)
		}
		r.empty()
	})
}

func TestDeadlineWhileRunning(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var h hold
		r.worker(1, h.run)
		j := newJob("{}")
		for timeout := 500 * time.Millisecond; ; timeout *= 4 { // a busy machine may take longer to hand the job out
			j.Timeout = timeout
			if res := collect(r.submit(cl, j), 10*timeout); res.failed == nil || res.failed.Status != 504 {
				t.Fatalf("%+v", res)
			}
			if h.begun.Load() > 0 || timeout > 30*time.Second {
				break
			}
			j = newJob("{}")
		}
		within(t, patience, "usage of the job that ran", func() bool {
			all := r.usage(1)
			return slices.ContainsFunc(all, func(u UsageRecord) bool {
				return u.Job == j.ID.String() && u.Status == StatusFailed && u.Usage.PromptTokens == 7
			})
		})
		r.empty()
	})
}

// A deadline counts from the broker's timestamp by the broker's clock, whatever the
// worker's own clock shows.
func TestDeadlineByTheBrokersClock(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		k := r.worker(1, say("x"))
		if skew, err := r.conn.clockSkew(t.Context()); err != nil || skew.Abs() > time.Second {
			t.Fatalf("skew %s (%v) of a broker in this process", skew, err)
		}
		for _, c := range []struct {
			skew   time.Duration
			status int
		}{{0, 0}, {time.Hour, 504}, {-time.Hour, 0}} { // the job's timeout is a minute
			k.skew.Store(int64(c.skew))
			res := collect(r.submit(cl, newJob("{}")), patience)
			if (res.failed != nil) != (c.status != 0) || (res.failed != nil && res.failed.Status != c.status) {
				t.Fatalf("broker ahead by %s: %+v", c.skew, res)
			}
		}
		r.empty()
	})
}

func TestSkew(t *testing.T) {
	sent := time.Unix(1000, 0)
	received := sent.Add(100 * time.Millisecond)
	for ts, want := range map[time.Duration]time.Duration{
		50 * time.Millisecond: 0, 150 * time.Millisecond: 0, -time.Hour: -time.Hour - 50*time.Millisecond,
		time.Minute: time.Minute - 50*time.Millisecond,
	} {
		if got := skewOf(sent, received, sent.Add(ts)); got != want {
			t.Errorf("broker at %s: skew %s, want %s", ts, got, want)
		}
	}
}
