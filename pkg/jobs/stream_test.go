package jobs

import (
	"testing"
	"time"
)

// A worker holds what was not acknowledged: of a slow stream little, and a fast one
// costs few acknowledgements.
func TestWhenEventsAreAcknowledged(t *testing.T) {
	type step struct {
		after time.Duration // since the step before
		bytes int
		acked bool
	}
	for name, steps := range map[string][]step{
		"a short answer":    {{0, 300, false}, {10 * time.Millisecond, 300, false}, {10 * time.Millisecond, 300, false}},
		"fast":              {{0, 60 << 10, false}, {time.Millisecond, 60 << 10, false}, {time.Millisecond, 60 << 10, true}, {time.Millisecond, 60 << 10, false}},
		"slow":              {{0, 1000, false}, {200 * time.Millisecond, 600, true}, {200 * time.Millisecond, 1000, false}, {200 * time.Millisecond, 600, true}},
		"slow, then faster": {{200 * time.Millisecond, 2000, true}, {10 * time.Millisecond, 2000, false}, {100 * time.Millisecond, 10, true}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			s := &Stream{job: NewID(), control: "worker", seq: sequence{attempt: 1, next: 1}, ackedAt: now}
			for i, step := range steps {
				now = now.Add(step.after)
				s.heard = now
				s.seq.next++
				ack, to := s.consumedLocked(step.bytes)
				if acked := ack.number != 0; acked != step.acked {
					t.Errorf("step %d: acknowledged %v", i, acked)
				} else if acked && (to != "worker" || ack.kind != ctlAck || ack.attempt != 1 || ack.number != s.seq.next-1) {
					t.Errorf("step %d: %+v to %q", i, ack, to)
				}
			}
		})
	}
}
