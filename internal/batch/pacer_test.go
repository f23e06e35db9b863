package batch

import (
	"testing"
	"testing/synctest"
	"time"
)

// However wide the window opens, lines go out in bursts that nobody feels behind them.
func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			bytes  int64
			lines  int // in a burst
			within time.Duration
		}{
			"small": {bytes: 1, lines: burstLines, within: 2000 / burstLines * burstEvery},
			"large": {bytes: burstBytes / 2, lines: 2, within: 1000 * burstEvery},
			"huge":  {bytes: 32 << 20, lines: 1, within: 2000 * burstEvery},
		} {
			var p pacer
			began, burst, most := time.Now(), 0, 0
			for range 2000 {
				if d := p.pause(time.Now()); d > 0 {
					burst = 0
					sleep(t.Context(), d) // of the bubble's clock
					if p.pause(time.Now()) > 0 {
						t.Fatalf("%s: the pause was too short", name)
					}
				}
				p.submitted(tt.bytes)
				burst++
				most = max(most, burst)
			}
			if took := time.Since(began); most != tt.lines || took > tt.within || took < tt.within/2 {
				t.Errorf("%s: %d lines at once, 2,000 in %s", name, most, took)
			}
		}
	})
}
