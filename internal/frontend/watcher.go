package frontend

import (
	"sync"
	"time"
)

// watcher looks after all open calls in one goroutine: it ends those whose client
// has left, and all of them when the server must stop.
type watcher struct {
	mu   sync.Mutex
	open []*call // guarded by mu; call.slot is the index
	over bool    // guarded by mu: calls that come now end at once
}

// add begins to watch c, which has a stream by now.
func (w *watcher) add(c *call) {
	w.mu.Lock()
	c.slot = len(w.open)
	w.open = append(w.open, c)
	over := w.over
	w.mu.Unlock()
	if over {
		c.stop(stopShutdown)
	}
}

// remove ends the watch. A look that is under way may still call c.stop.
func (w *watcher) remove(c *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.open[len(w.open)-1]
	w.open[c.slot], last.slot = last, c.slot
	w.open[len(w.open)-1] = nil
	w.open = w.open[:len(w.open)-1]
}

// idlePauses is how many pauses apart it looks while no call is open: waking up is what
// an idle server's processor time goes to.
const idlePauses = 2

// run looks every pause until done is closed.
func (w *watcher) run(pause time.Duration, done <-chan struct{}) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	var calls []*call
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		calls = w.snapshot(calls)
		for _, c := range calls {
			if c.conn.probe.peerGone(c.conn.Conn) {
				c.stop(stopGone)
			}
		}
		if len(calls) == 0 {
			tick.Reset(idlePauses * pause)
		} else {
			tick.Reset(pause)
		}
		clear(calls)
	}
}

// snapshot copies the open calls, so that none waits for a look at the others.
func (w *watcher) snapshot(into []*call) []*call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(into[:0], w.open...)
}

// stopAll ends every open call, and those that come later.
func (w *watcher) stopAll() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	for _, c := range w.snapshot(nil) {
		c.stop(stopShutdown)
	}
}
