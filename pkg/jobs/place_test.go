package jobs

import (
	"testing"
	"time"
)

// The place of a job that was just submitted follows from counts that are older, and
// from how fast jobs were taken since.
func TestPosition(t *testing.T) {
	pc, now := poolClass{"default", Background}, time.Now()
	a := newAdmission(1000)
	submit := func(n int) {
		for range n {
			if err := a.admit(pc); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := func(at time.Time, position int64, wait time.Duration) {
		t.Helper()
		if got, rate := a.position(pc, at); got != position || waitFor(got, rate) != wait {
			t.Errorf("position %d, wait %s; want %d, %s", got, waitFor(got, rate), position, wait)
		}
	}
	want(now, 1, 0) // nothing is known
	submit(3)
	want(now, 3, 0)
	a.queueLocked(pc).update(40, 100, now)
	a.queueLocked(pc).update(30, 120, now.Add(time.Second)) // 20 in a second, so 10/s on average
	submit(5)
	want(now.Add(time.Second), 35, 4*time.Second)
	want(now.Add(2*time.Second), 25, 3*time.Second)
	want(now.Add(time.Minute), 1, time.Second)
}
