package jobs

import (
	"context"
	"time"
)

// RunningAttempt is an attempt that has begun and not ended.
type RunningAttempt struct {
	Number uint32
	Worker string
	Began  time.Time
	Heard  time.Time // its last stored event
}

// runningAttempt finds the attempt of a kept job whose events come last; nil if there
// are none, or it has ended.
func (c *Conn) runningAttempt(ctx context.Context, id ID) (*RunningAttempt, error) {
	var now *RunningAttempt
	err := c.scanStream(ctx, c.n.replayStream(), c.n.replay(id), id.Time().Add(-clockSlack), func(stored *stored) error {
		m, err := decodeReplay(stored.Data)
		if err != nil {
			return err
		}
		switch m.kind {
		case replayStarted:
			now = &RunningAttempt{Number: m.attempt, Began: stored.Time}
			if about, err := decodeReplayAbout(m.data); err == nil {
				now.Worker, now.Began = about.Worker, about.Started
			}
		case replayDone, replayFailed, replayGaveUp:
			now = nil
		case replayChunk, replayPart:
		}
		if now != nil {
			now.Heard = stored.Time
		}
		return nil
	})
	return now, err
}

// number numbers the attempts through: the broker counts anew for a job that was
// submitted again, which begins after the attempt before has ended. One that was given
// up may end later than the one after it.
func (h *JobHistory) number() {
	var base, last uint32
	var ended time.Time
	next := func(n uint32, began time.Time) uint32 {
		if base+n <= last && began.After(ended) {
			base = last
			h.Retried++
		}
		last = max(last, base+n)
		return base + n
	}
	for i := range h.Attempts {
		a := &h.Attempts[i]
		a.Attempt = next(a.Attempt, a.began())
		ended = a.Time
	}
	if h.Running != nil && h.Running.Began.After(ended) {
		h.Running.Number = next(h.Running.Number, h.Running.Began)
	}
}

// began is when the attempt began, as far as its times tell.
func (r *UsageRecord) began() time.Time {
	return r.Time.Add(-time.Duration((r.WorkerMS + r.ModelMS) * float64(time.Millisecond)))
}
