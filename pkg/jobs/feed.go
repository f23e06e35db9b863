package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	// silentFirst is how long a feed that hears nothing waits until it looks at what
	// is stored: a message may have been lost. It waits longer each time.
	silentFirst = time.Second
	silentMost  = 16 * time.Second
	// silentLost is the silence after which the job itself is looked for.
	silentLost = 4 * time.Second
)

// feed fills one replay: it subscribes to the events that come, reads what is stored
// up to the end, goes on with what came meanwhile, and reads what is stored again
// when something is missing or the reader is too slow for what comes. But for live
// it belongs to one goroutine.
type feed struct {
	cl     *Client
	out    *Replay
	tenant string
	id     ID
	after  uint64
	job    *Job
	result *Result // that stands; nil: not known yet

	cursor cursor
	seq    uint64   // of the first stored message that the cursor has not judged
	read   uint64   // of the next one to read: beyond seq in the middle of a large event
	strict bool     // the leader alone is believed
	stored assembly // of the large event that is being read
	heard  assembly // of the one that is being listened to
	handed bool     // the reader got an event from here
	over   bool     // it got the final one
	silent time.Duration

	doubted bool   // the job was looked for
	broken  uint64 // how often the connection was, when it last read what is stored

	pending []replayMessage // came live and are not offered yet
	retried bool            // the first of them showed a gap, which was read since

	live liveEvents
	told chan *nats.Msg // somebody offered a result
	stop []func()       // end the subscriptions
}

// listen subscribes, before anything is read.
func (f *feed) listen() error {
	c := f.cl.conn
	told, stop, err := c.tellResult(f.tenant, f.id)
	if err != nil {
		return err
	}
	f.told, f.stop = told, []func(){stop}
	sub, err := c.nc.Subscribe(c.n.replay(f.id), f.live.take)
	if err != nil {
		stop()
		return fmt.Errorf("subscribe to events: %w", err)
	}
	f.stop = append(f.stop, func() { _ = sub.Unsubscribe() })
	return nil
}

func (f *feed) deafen() {
	for _, stop := range f.stop {
		stop()
	}
}

// begin reads as much as it takes to say that there is something to follow.
func (f *feed) begin(ctx context.Context) error {
	k, rec, err := f.cl.conn.readKept(ctx, f.tenant, f.id)
	if err != nil {
		return err
	}
	f.job, f.silent = rec.job, silentFirst
	f.job.Body = nil
	if k.Result != nil {
		f.settle(k.Result)
	} else if f.after == 0 && f.job.Stream {
		if f.cursor.least, err = f.cl.conn.liveAttempt(ctx, f.id); err != nil {
			return err
		}
	}
	if err := f.readStored(ctx, true); err != nil {
		return err
	}
	if f.result != nil && !f.handed && !f.over {
		return f.conclude()
	}
	return nil
}

// liveAttempt returns the number of the attempt from which on a reader without any
// events sees a stream: the newest that stored something, or the next one if nobody
// answers at the address of that one's worker.
func (c *Conn) liveAttempt(ctx context.Context, id ID) (uint32, error) {
	newest, err := c.newestAttempt(ctx, id)
	if err != nil || newest == 0 {
		return newest, err
	}
	instance, err := c.runsAt(ctx, id, time.Time{})
	if err != nil {
		return 0, err
	}
	if instance != "" && instance != unknownInstance && c.nobodyAt(ctx, instance) {
		newest++
	}
	return newest, nil
}

// newestAttempt returns the number of the attempt that last stored something of a
// job, 0 if none did. A reader from the beginning need not see what came before.
func (c *Conn) newestAttempt(ctx context.Context, id ID) (uint32, error) {
	m, err := c.leaderGet(ctx, c.n.replayStream(), question{LastFor: c.n.replay(id)})
	if errors.Is(err, errNotStored) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	last, err := decodeReplay(m.Data)
	if err != nil {
		return 0, fmt.Errorf("read stored events: %w", err)
	}
	return last.attempt, nil
}

// run feeds the reader until its end, or that of ctx.
func (f *feed) run(ctx context.Context) {
	for !f.over {
		err := f.advance(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
		case errors.Is(err, ErrEventsGone):
			f.fail(errEventsLost())
		case errors.Is(err, ErrNotKept):
			f.fail(f.unkept(ctx))
		default:
			f.cl.log.Warn("kept job is not followed for now", "job_id", f.id.String(), "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// advance reads what is stored, then either the job has ended or it listens until
// there is a reason to read again.
func (f *feed) advance(ctx context.Context) error {
	known := f.result != nil // then everything that belongs to it is stored
	if err := f.readStored(ctx, false); err != nil || f.over {
		return err
	}
	switch {
	case known:
		return f.conclude()
	case f.result != nil:
		return nil
	}
	return f.hear(ctx)
}

// take does what the cursor said about a message.
func (f *feed) take(ctx context.Context, verdict offered, e Event) error {
	switch verdict {
	case given:
		f.silent = silentFirst
		f.hand(e)
	case void:
		f.lose()
	case ended:
		return f.look(ctx)
	case passed, missed:
	}
	return nil
}

// hear goes on with what comes, until the job has ended, something is missing, or
// may be: after a silence, or a break of the connection.
func (f *feed) hear(ctx context.Context) error {
	since := time.Now()
	tick := time.NewTicker(silentFirst)
	defer tick.Stop()
	for {
		more, err := f.listened(ctx)
		if err != nil || !more {
			return err
		}
		if err := f.room(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.live.wake:
			since = time.Now()
		case <-f.told:
			if err := f.cl.conn.confirm(ctx, f.tenant, f.id); err != nil {
				return err
			}
			return f.look(ctx)
		case <-tick.C:
			if f.cl.conn.nc.Stats().Reconnects != f.broken {
				return f.look(ctx)
			}
			if time.Since(since) >= f.silent {
				return f.doubt(ctx)
			}
		}
	}
}

// listened takes what came, and reports whether nothing is missing and the job goes
// on. The message that showed the gap stays: it may not be stored yet when what was
// before it is read. If it fits no better then, it is left to what is stored.
func (f *feed) listened(ctx context.Context) (more bool, err error) {
	messages, lost := f.live.taken()
	f.pending = append(f.pending, messages...)
	for len(f.pending) > 0 {
		m := &f.pending[0]
		verdict, e := f.judge(m, f.heard.take(m), true)
		if verdict == missed && !f.retried {
			f.retried = true
			return false, nil
		}
		f.retried = false
		f.pending = f.pending[1:]
		if err := f.take(ctx, verdict, e); err != nil || verdict == missed || f.over || f.result != nil {
			return false, err
		}
	}
	f.pending = nil
	return !lost, nil
}

// doubt looks for what a silent job may have said or become.
func (f *feed) doubt(ctx context.Context) error {
	f.silent = min(2*f.silent, silentMost)
	if f.silent < silentLost && (f.doubted || f.cursor.attempt != 0) {
		return f.look(ctx)
	}
	f.doubted = true // a job that nobody heard of may have been refused, or its frontend died
	k, err := f.cl.kept(ctx, f.tenant, f.id, KeptOptions{Hidden: true})
	if err == nil && k.Result != nil {
		f.settle(k.Result)
	}
	return err
}

// look asks the leader whether the job has ended.
func (f *feed) look(ctx context.Context) error {
	r, err := f.cl.conn.resultIfAny(ctx, f.tenant, f.id)
	if err == nil && r != nil {
		f.settle(r)
	}
	return err
}

// room waits until the reader has taken what there is.
func (f *feed) room(ctx context.Context) error {
	for f.out.full() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.out.room:
		}
	}
	return nil
}

// unkept says why there is no record any more: the job was deleted, or the queue
// never took it and whoever submitted it was told so.
func (f *feed) unkept(ctx context.Context) *protocol.Error {
	if r, err := f.cl.conn.resultIfAny(ctx, f.tenant, f.id); err != nil || r != nil {
		return errRevoked()
	}
	f.out.refused.Store(true)
	return protocol.ErrOverloaded(f.cl.depth.retryAfter(poolClass{f.job.Pool, f.job.Class}))
}

// hand gives the reader an event of the job.
func (f *feed) hand(e Event) {
	f.handed = true
	f.out.add(e)
}
