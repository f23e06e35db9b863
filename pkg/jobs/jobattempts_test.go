package jobs

import (
	"testing"
	"time"
)

// Attempts are numbered through all retries; one that ends late keeps its number.
func TestAttemptsAreNumberedThrough(t *testing.T) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	record := func(number uint32, ended, took int) UsageRecord {
		return UsageRecord{Attempt: number, Time: at(ended), ModelMS: float64(took) * 1000}
	}
	for name, c := range map[string]struct {
		attempts []UsageRecord
		running  *RunningAttempt
		want     []uint32 // the running one last
		retried  int
	}{
		"one":               {attempts: []UsageRecord{record(1, 10, 1)}, want: []uint32{1}},
		"first was lost":    {attempts: []UsageRecord{record(2, 10, 1)}, want: []uint32{2}},
		"retried":           {attempts: []UsageRecord{record(1, 10, 1), record(1, 20, 1)}, want: []uint32{1, 2}, retried: 1},
		"retried twice":     {attempts: []UsageRecord{record(1, 10, 1), record(2, 20, 1), record(1, 30, 1), record(1, 40, 1)}, want: []uint32{1, 2, 3, 4}, retried: 2},
		"runs again":        {attempts: []UsageRecord{record(1, 10, 1)}, running: &RunningAttempt{Number: 1, Began: at(20)}, want: []uint32{1, 2}, retried: 1},
		"runs on":           {attempts: []UsageRecord{record(1, 10, 1)}, running: &RunningAttempt{Number: 2, Began: at(20)}, want: []uint32{1, 2}},
		"running has ended": {attempts: []UsageRecord{record(1, 10, 5)}, running: &RunningAttempt{Number: 1, Began: at(5)}, want: []uint32{1, 1}},
		"ended late":        {attempts: []UsageRecord{record(2, 10, 1), record(1, 20, 19)}, want: []uint32{2, 1}},
	} {
		h := &JobHistory{Attempts: c.attempts, Running: c.running}
		h.number()
		var got []uint32
		for _, a := range h.Attempts {
			got = append(got, a.Attempt)
		}
		if h.Running != nil {
			got = append(got, h.Running.Number)
		}
		if len(got) != len(c.want) || h.Retried != c.retried {
			t.Errorf("%s: %v, retried %d times", name, got, h.Retried)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	}
}
