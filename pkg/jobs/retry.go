package jobs

import (
	"math/rand/v2"
	"time"
)

// deliveryPauses are the pauses after the attempts at a delivery: the last attempt
// comes close to three days after the first.
func deliveryPauses() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 20 * time.Hour,
	}
}

// pauseAfter returns how long to wait after a failed attempt that began at that age
// of the delivery, and false after the last one. The age alone decides, so it does
// not matter who made the earlier attempts, or how often the delivery was only put
// off: one that was held up for long skips attempts instead of lasting longer.
func pauseAfter(pauses []time.Duration, age time.Duration) (time.Duration, bool) {
	due := time.Duration(0)
	for _, pause := range pauses {
		if due += pause; due > age {
			return pause, true
		}
	}
	return 0, false
}

// jitter lengthens a pause by up to a tenth, so that what failed together is not
// tried again together. It never shortens it: an attempt that comes early would
// count as the one before.
func jitter(pause time.Duration) time.Duration { return pause + rand.N(pause/10+1) }
