package worker

import "time"

// breaker leaves a target alone that keeps failing. It is a value without
// clock or lock: the caller passes the time and guards it.
//
//	          failures in a row
//	closed ----------------------> open <-----------+
//	  ^                             | cooled down:  | probe failed
//	  |  probe answered             v one call      |
//	  +------------------------- half-open ---------+
//
// Invariant: at most one call runs in half-open, the probe.
type breaker struct {
	state    breakerState
	failures int       // in a row, while closed
	until    time.Time // while open: when a probe may go
}

type breakerState uint8

const (
	closed breakerState = iota
	open
	halfOpen
)

func (s breakerState) String() string { return [...]string{"closed", "open", "half-open"}[s] }

// result is what a call says about its target's health.
type result uint8

const (
	succeeded result = iota
	failed           // the target's fault
	refused          // the request's fault, or a rate limit: the target lives
	abandoned        // we left; nothing is known
)

// probeWait is what a caller is told to wait while a probe is under way: how
// long that takes is unknown.
const probeWait = time.Second

// ready reports whether a call may begin now, and if not, how long until it is
// worth asking again.
func (b *breaker) ready(now time.Time) (ok bool, wait time.Duration) {
	switch {
	case b.state == halfOpen:
		return false, probeWait
	case b.state == open && now.Before(b.until):
		return false, b.until.Sub(now)
	}
	return true, 0
}

// begin notes that a call starts, which ready allowed. It reports whether the
// call is the probe; end must be told.
func (b *breaker) begin() (probe bool) {
	if b.state == open {
		b.state = halfOpen
		return true
	}
	return false
}

// end notes how a call went.
func (b *breaker) end(cfg Breaker, probe bool, r result, now time.Time) {
	switch {
	case cfg.Failures < 0:
		*b = breaker{}
	case probe:
		b.endProbe(cfg, r, now)
	case b.state != closed:
		// A call from before the breaker opened: the probe decides.
	case r == succeeded:
		b.failures = 0
	case r == failed:
		if b.failures++; b.failures >= cfg.Failures {
			*b = breaker{state: open, until: now.Add(cfg.Cooldown)}
		}
	}
}

func (b *breaker) endProbe(cfg Breaker, r result, now time.Time) {
	switch r {
	case succeeded, refused:
		*b = breaker{}
	case failed:
		*b = breaker{state: open, until: now.Add(cfg.Cooldown)}
	case abandoned: // still cooled down: the next call probes
		*b = breaker{state: open, until: now}
	}
}
