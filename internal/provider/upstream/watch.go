package upstream

import (
	"fmt"
	"sync"
	"time"

	"github.com/osiris/osiris/internal/provider"
)

// Phase is a part of a call that has a limit of its own.
type Phase string

// The phases, in order; PhaseTotal spans them all.
const (
	PhaseConnect    Phase = "connect"
	PhaseFirstToken Phase = "first token"
	PhaseIdle       Phase = "idle"
	PhaseTotal      Phase = "total"
)

// TimeoutError is the cause of a [provider.Error] for a limit that was reached.
type TimeoutError struct {
	Phase Phase
	Limit time.Duration
}

// Error implements error.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("%s time-out after %s", e.Phase, e.Limit)
}

// Timeout tells net.Error's users that it is one.
func (e *TimeoutError) Timeout() bool { return true }

// watch ends a call that breaks a limit. It has one timer, which is moved lazily:
// when it fires too early, it is set again. So a chunk costs neither a timer nor,
// mostly, a look at the clock.
type watch struct {
	cut    func() // ends the call, at its limit and when it is over
	limits provider.Limits

	mu       sync.Mutex // guards all below
	timer    *time.Timer
	armed    time.Time // when the timer fires; zero: it is not running
	phase    Phase
	deadline time.Time // of the phase; zero: its clock stands still or it has no limit
	total    time.Time // of the call; zero: no limit
	err      *TimeoutError
	done     bool
}

func (w *watch) start(l provider.Limits, cut func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut, w.limits = cut, l
	if l.Total > 0 {
		w.total = time.Now().Add(l.Total)
	}
	w.enter(PhaseConnect)
}

// sent begins the wait for the first token; only the first call has an effect.
func (w *watch) sent() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase == PhaseConnect {
		w.enter(PhaseFirstToken)
	}
}

// pause stops the clock of the phase: payload came. The next phase is idle.
func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase, w.deadline = PhaseIdle, time.Time{}
}

// resume starts the clock again after pause.
func (w *watch) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enter(PhaseIdle)
}

// hurry lowers the idle limit to d.
func (w *watch) hurry(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limits.Idle == 0 || w.limits.Idle > d {
		w.limits.Idle = d
	}
}

// limit replaces whatever ran by a bare time-out.
func (w *watch) limit(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limits, w.total = provider.Limits{Idle: d}, time.Time{}
	w.enter(PhaseIdle)
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.cut()
}

// reason returns the limit that ended the call, or nil.
func (w *watch) reason() *TimeoutError {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// enter begins a phase. The lock is held.
func (w *watch) enter(p Phase) {
	w.phase, w.deadline = p, time.Time{}
	if d := w.phaseLimit(p); d > 0 {
		w.deadline = time.Now().Add(d)
	}
	w.arm()
}

// arm makes the timer fire no later than the nearest deadline. The lock is held.
func (w *watch) arm() {
	at := w.deadline
	if at.IsZero() || !w.total.IsZero() && w.total.Before(at) {
		at = w.total
	}
	if at.IsZero() || w.done || !w.armed.IsZero() && !w.armed.After(at) {
		return
	}
	w.armed = at
	if w.timer == nil {
		w.timer = time.AfterFunc(time.Until(at), w.fire)
		return
	}
	w.timer.Reset(time.Until(at))
}

func (w *watch) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.armed = time.Time{}
	switch {
	case w.done:
	case !w.total.IsZero() && !now.Before(w.total):
		w.end(PhaseTotal)
	case !w.deadline.IsZero() && !now.Before(w.deadline):
		w.end(w.phase)
	default:
		w.arm()
	}
}

func (w *watch) end(p Phase) {
	w.done = true
	w.err = &TimeoutError{Phase: p, Limit: w.phaseLimit(p)}
	w.cut()
}

func (w *watch) phaseLimit(p Phase) time.Duration {
	switch p {
	case PhaseConnect:
		return w.limits.Connect
	case PhaseFirstToken:
		return w.limits.FirstToken
	case PhaseIdle:
		return w.limits.Idle
	default:
		return w.limits.Total
	}
}
