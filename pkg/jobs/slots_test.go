package jobs

import (
	"math/rand/v2"
	"testing"
)

// Whatever arrives, no more than total jobs run, and lower classes leave the
// reserved slots alone (rule 7).
func TestSlots(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, s := range []slots{{total: 1}, {total: 4, reserved: 1}, {total: 100, reserved: 10}} {
		for range 20_000 {
			switch rnd.IntN(5) {
			case 0:
				s.asked += s.want()
			case 1:
				s.askedLow += s.wantLow()
			case 2:
				if s.asked > 0 {
					s.asked--
					s.take()
				}
			case 3:
				if s.askedLow > 0 {
					s.askedLow--
					if !s.take() && s.running < s.total {
						t.Fatalf("%+v refused a job it had a slot for", s)
					}
				}
			case 4:
				if s.running > 0 {
					s.release()
				}
			}
			if s.running > s.total || s.running < 0 || s.asked > s.total || s.asked < 0 {
				t.Fatalf("%+v", s)
			}
			if w := s.wantLow(); w > 0 && s.free()-s.reserved < w {
				t.Fatalf("%+v wants %d of the lower classes", s, s.wantLow())
			}
		}
	}
}

func TestSlotsWant(t *testing.T) {
	for _, c := range []struct {
		s         slots
		want, low int
	}{
		{slots{total: 1}, 1, 1},
		{slots{total: 1, asked: 1}, 0, 1},
		{slots{total: 1, running: 1}, 0, 0},
		{slots{total: 8, reserved: 2}, 8, 6},
		{slots{total: 8, reserved: 2, running: 7}, 1, 0},
		{slots{total: 8, reserved: 2, askedLow: 5}, 8, 1},
		{slots{total: 100, asked: 99}, 0, 100},  // one missing of a hundred waits for company
		{slots{total: 100, asked: 70}, 30, 100}, // a quarter is missing
		{slots{total: 4, stopping: true}, 0, 0},
	} {
		if got := c.s.want(); got != c.want {
			t.Errorf("%+v wants %d, not %d", c.s, got, c.want)
		}
		if got := c.s.wantLow(); got != c.low {
			t.Errorf("%+v wants %d of the lower classes, not %d", c.s, got, c.low)
		}
	}
}
