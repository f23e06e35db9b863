package frontend

import (
	"sync"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

// rereading are the events of a kept stream for whoever submitted it. Should the job
// turn out to have run before, its answer comes whole: then they go on with what is
// stored, so that an event has the number under which a reader continues after it.
type rereading struct {
	first  events
	follow func() (events, error)
	stored events // owned by the reader, as the others; nil while first goes on

	mu     sync.Mutex
	second events // stored, for Close
	closed bool
}

// Next implements events.
func (r *rereading) Next(wait time.Duration) (jobs.Event, error) {
	if r.stored != nil {
		return r.stored.Next(wait)
	}
	ev, err := r.first.Next(wait)
	if err != nil || ev.Kind != jobs.Answer {
		return ev, err
	}
	stored, err := r.follow()
	if err != nil {
		return jobs.Event{}, queueError(err)
	}
	r.mu.Lock()
	closed := r.closed
	r.second = stored
	r.mu.Unlock()
	if closed {
		stored.Close()
		return jobs.Event{}, jobs.ErrClosed
	}
	r.stored = stored
	return stored.Next(wait)
}

// Ready implements events.
func (r *rereading) Ready() bool {
	if r.stored != nil {
		return r.stored.Ready()
	}
	return r.first.Ready()
}

// Stored implements events.
func (r *rereading) Stored() bool { return r.stored != nil || r.first.Stored() }

// Close implements events.
func (r *rereading) Close() {
	r.mu.Lock()
	r.closed = true
	second := r.second
	r.mu.Unlock()
	r.first.Close()
	if second != nil {
		second.Close()
	}
}
