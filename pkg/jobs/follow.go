package jobs

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// ErrEventsGone says that the events asked for are no longer stored.
var ErrEventsGone = errors.New("events are no longer stored")

// replayBuffer bounds the bytes that wait for a reader, and those that come live
// while it is behind; each may be exceeded by one message.
const replayBuffer = 256 << 10

// Replay is the events of a kept job for one of any number of readers: what is
// stored first, then what comes. Chunk has server-sent events with their ids, one
// or several, and is numbered by the first of them; Answer a whole completion. One
// Done or Failed ends it.
//
// Next and Ready belong to one goroutine; Close may be called from any.
type Replay struct {
	feed feed
	wake chan struct{} // something came; one place
	room chan struct{} // something was taken; one place
	eof  bool          // of the reader: the final event was handed out

	cancel context.CancelFunc
	done   chan struct{} // closed when nothing is added any more

	refused atomic.Bool // the queue never took the job

	mu     sync.Mutex
	queue  []Event
	size   int // bytes in queue
	closed bool
}

// Follow returns the events of a kept job after the one of that number: 0 for all,
// of a hidden job too. While the job waits or runs, the reader waits; one that has
// ended goes on to its end. A job in JSON mode has no events of its own: its answer
// comes as one, whatever after says; so does that of a stream whose events are no
// longer stored, if after is 0.
//
// A reader that has events of an attempt that was given up gets Failed, since those
// of another do not go on from them. The error is ErrNotKept if the tenant has no
// such job, ErrEventsGone if what is asked for is no longer stored, else a
// *protocol.Error. ctx governs only Follow. The replay must be closed; it ends with
// the client.
func (cl *Client) Follow(ctx context.Context, tenant string, id ID, after uint64) (*Replay, error) {
	r, err := cl.follow(ctx, tenant, id, after)
	return r, keptError("follow kept job", err)
}

func (cl *Client) follow(ctx context.Context, tenant string, id ID, after uint64) (*Replay, error) {
	switch {
	case !validToken(tenant):
		return nil, ErrNotKept
	case cl.ctx.Err() != nil:
		return nil, ErrClosed
	}
	r := &Replay{wake: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{})}
	r.feed = feed{
		cl: cl, out: r, tenant: tenant, id: id, after: after, cursor: newCursor(after, 0), seq: 1,
		live: liveEvents{wake: make(chan struct{}, 1)},
	}
	if err := r.feed.listen(); err != nil {
		return nil, err
	}
	if err := r.feed.begin(ctx); err != nil {
		r.feed.deafen()
		return nil, err
	}
	run, cancel := context.WithCancel(cl.ctx)
	r.cancel = cancel
	cl.wg.Go(func() {
		defer close(r.done)
		r.feed.run(run)
		r.feed.deafen()
		if !r.feed.over {
			r.cut()
		}
	})
	return r, nil
}

// Next returns the next event. It waits at most wait, then returns ErrSilent; 0 does
// not wait. After Done or Failed it returns io.EOF, after Close ErrClosed. The
// event's data is valid until the next call.
func (r *Replay) Next(wait time.Duration) (Event, error) {
	if r.eof {
		return Event{}, io.EOF
	}
	var timer *time.Timer
	for {
		e, ok, err := r.take()
		if ok || err != nil {
			return e, err
		}
		if wait <= 0 {
			return Event{}, ErrSilent
		}
		if timer == nil {
			timer = time.NewTimer(wait)
			defer timer.Stop()
		}
		select {
		case <-r.wake:
		case <-timer.C:
			wait = 0
		}
	}
}

func (r *Replay) take() (e Event, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return Event{}, false, ErrClosed
	case len(r.queue) == 0:
		return Event{}, false, nil
	}
	e = r.queue[0]
	r.queue[0] = Event{}
	r.queue = r.queue[1:]
	r.size -= len(e.Data)
	r.eof = e.Kind.final()
	signal(r.room)
	return e, true, nil
}

// Stored reports whether the queue took the job, as far as is known.
func (r *Replay) Stored() bool { return !r.refused.Load() }

// Ready reports whether Next has an event without waiting.
func (r *Replay) Ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) > 0
}

// Close ends the reading; the job goes on. Calling it again does nothing.
func (r *Replay) Close() {
	r.mu.Lock()
	r.closed, r.queue, r.size = true, nil, 0
	r.mu.Unlock()
	signal(r.wake)
	r.cancel()
	<-r.done
}

// cut ends the reader's waiting for what will not come: the client was closed.
func (r *Replay) cut() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	signal(r.wake)
}

// add hands an event to the reader.
func (r *Replay) add(e Event) {
	r.mu.Lock()
	if !r.closed {
		r.queue = append(r.queue, e)
		r.size += len(e.Data)
	}
	r.mu.Unlock()
	signal(r.wake)
}

// full reports whether the reader is behind.
func (r *Replay) full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.size >= replayBuffer
}

// signal fills a channel that has one place.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
