package batch

import (
	"math/rand/v2"
	"time"
)

const (
	retryLeast = time.Second
	retryMost  = time.Minute
	// pauseMost bounds the pause of a whole batch whose requests all fail.
	pauseMost = 30 * time.Second
	// cautious is how many requests are out while they fail.
	cautious = 4
)

// retryDelay is how long a request rests before its nth retry, from 1: twice as long
// each time, with jitter, and never less than the provider asked for.
func retryDelay(n int, asked time.Duration) time.Duration {
	d := min(retryLeast<<min(n-1, 10), retryMost)
	return max(d/2+rand.N(d/2+1), asked)
}

// throttle keeps a batch from running into a provider that is busy or away: when one
// request after another fails, few are tried, and pauses grow. It does no I/O.
type throttle struct {
	row   int       // failures since the last success
	until time.Time // nothing is submitted before
}

// success notes that the provider answers.
func (t *throttle) success() { t.row, t.until = 0, time.Time{} }

// failure notes a failure that may pass. The first few change nothing: a single bad
// request is not a bad provider.
func (t *throttle) failure(now time.Time, asked time.Duration) {
	if t.row++; t.row < cautious && asked == 0 {
		return
	}
	pause := min(250*time.Millisecond<<min(t.row/cautious, 7), pauseMost)
	if until := now.Add(max(pause, min(asked, retryMost))); until.After(t.until) {
		t.until = until
	}
}

// room returns how many may be out, given the share of the batch.
func (t *throttle) room(share int, now time.Time) int {
	switch {
	case now.Before(t.until):
		return 0
	case t.row >= cautious:
		return min(share, cautious)
	}
	return share
}
