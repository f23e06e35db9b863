package jobs

import (
	"testing"
	"testing/synctest"
	"time"
)

// What a connection does at intervals comes together, whenever it was begun.
func TestRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Conn{born: time.Now()}
		for _, begun := range []time.Duration{0, 1, 300 * time.Millisecond, 1999 * time.Millisecond} {
			<-time.After(begun)
			for _, every := range []time.Duration{250 * time.Millisecond, time.Second, 2 * time.Second} {
				wait := c.untilRound(every)
				if since := time.Since(c.born); wait <= 0 || wait > every || (since+wait)%every != 0 {
					t.Errorf("%s after the beginning the next round of %s comes in %s", since, every, wait)
				}
			}
		}
	})
}
