package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// viewCheck is how often a view compares itself with the bucket's leader: the
	// bound on how long it can miss a change that no event told it of.
	viewCheck = 2 * time.Second
	// viewLoad is how long reading the whole bucket may take before it is begun
	// again.
	viewLoad = 10 * time.Second
)

// view keeps a decoded copy of a small bucket. It follows the changes; after a
// reconnect, when the watch ends, and when the leader's last revision is not the
// one it knows, it reads the whole bucket again. Until that is done the old copy
// stands: an outage of NATS takes nothing away.
//
// Invariant: publish is called by one goroutine at a time.
type view[T any] struct {
	c       *Conn
	kv      jetstream.KeyValue
	decode  func(value []byte) (T, error)
	publish func(entries map[string]T) // must not keep or change the map

	entries  map[string]T
	revision uint64 // of the newest change seen, values removed since included
	short    shortfall

	cancel context.CancelFunc
	done   chan struct{}
}

// start returns once the bucket was read for the first time, or when ctx ends.
func (v *view[T]) start(ctx context.Context) error {
	run, cancel := context.WithCancel(v.c.ctx)
	v.cancel, v.done = cancel, make(chan struct{})
	first := make(chan struct{})
	if !v.c.begin(func() {
		defer close(v.done)
		v.run(run, first)
	}) {
		close(v.done)
	}
	select {
	case <-first:
		return nil
	case <-ctx.Done():
		v.close()
		return fmt.Errorf("watch bucket %s: %w", v.kv.Bucket(), context.Cause(ctx))
	case <-v.done:
		return fmt.Errorf("watch bucket %s: %w", v.kv.Bucket(), nats.ErrConnectionClosed)
	}
}

// close ends the view and waits for its goroutine.
func (v *view[T]) close() {
	v.cancel()
	<-v.done
}

// run follows one watch after another until ctx ends. It closes first once the
// first copy is complete.
func (v *view[T]) run(ctx context.Context, first chan struct{}) {
	up := v.c.nc.StatusChanged(nats.CONNECTED)
	defer v.c.nc.RemoveStatusListener(up)
	for ctx.Err() == nil {
		w, err := v.load(ctx)
		if err == nil {
			if first != nil {
				close(first)
				first = nil
			}
			err = v.follow(ctx, w, up)
			stopWatch(w)
		}
		if ctx.Err() != nil {
			return
		}
		v.c.log.Debug("bucket is read again", "bucket", v.kv.Bucket(), "reason", err)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// boundWatch is a watch with the context that its subscription lives in.
type boundWatch struct {
	jetstream.KeyWatcher
	cancel context.CancelFunc
}

// Stop implements jetstream.KeyWatcher.
func (w *boundWatch) Stop() error {
	defer w.cancel()
	return w.KeyWatcher.Stop()
}

// watch begins a watch. The library ends it with the context it is given, so the
// limit on beginning it must not outlast the beginning.
func (v *view[T]) watch(ctx context.Context) (jetstream.KeyWatcher, error) {
	ctx, cancel := context.WithCancel(ctx)
	limit := time.AfterFunc(attemptTimeout, cancel)
	w, err := v.kv.WatchAll(ctx)
	if !limit.Stop() && err == nil {
		_ = w.Stop() // it ends with ctx in any case
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &boundWatch{w, cancel}, nil
}

// load begins a watch and reads the bucket up to its present end.
func (v *view[T]) load(ctx context.Context) (jetstream.KeyWatcher, error) {
	w, err := v.watch(ctx)
	if err != nil {
		return nil, err
	}
	entries, revision := make(map[string]T), uint64(0)
	limit := time.NewTimer(viewLoad)
	defer limit.Stop()
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok {
				return nil, errors.New("watch ended while reading")
			}
			if e == nil {
				if err := v.complete(ctx, revision); err != nil {
					stopWatch(w)
					return nil, err
				}
				v.entries, v.revision = entries, revision
				v.publish(entries)
				return w, nil
			}
			revision = max(revision, e.Revision())
			v.apply(entries, e)
		case <-limit.C:
			stopWatch(w)
			return nil, errors.New("watch took too long to read")
		case <-ctx.Done():
			stopWatch(w)
			return nil, ctx.Err()
		}
	}
}

// shortfall is what a copy lacked of the leader's revision.
type shortfall struct {
	has, lacks uint64
	since      time.Time
}

// complete returns an error unless a copy that reaches up to revision has all that the
// leader has: a server that has just come back answers with what it has so far. What
// stays away for longer than viewCheck was removed.
func (v *view[T]) complete(ctx context.Context, revision uint64) error {
	last, err := v.last(ctx)
	if err != nil {
		return fmt.Errorf("ask the leader: %w", err)
	}
	if last <= revision {
		v.short = shortfall{}
		return nil
	}
	if v.short.has != revision || v.short.lacks != last {
		v.short = shortfall{revision, last, time.Now()}
	}
	if time.Since(v.short.since) < viewCheck {
		return fmt.Errorf("copy ends at %d of %d", revision, last)
	}
	return nil
}

// follow applies changes until something makes the copy doubtful, which the error
// names.
func (v *view[T]) follow(ctx context.Context, w jetstream.KeyWatcher, up <-chan nats.Status) error {
	for len(up) > 0 {
		<-up // connected before the bucket was read
	}
	check := time.NewTimer(v.c.untilRound(viewCheck))
	defer check.Stop()
	doubt, doubted := uint64(0), false
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok {
				return errors.New("watch ended")
			}
			if e == nil {
				continue
			}
			v.revision = max(v.revision, e.Revision())
			v.apply(v.entries, e)
			if len(w.Updates()) == 0 { // a burst is published once
				v.publish(v.entries)
			}
		case <-up:
			return errors.New("reconnected")
		case <-check.C:
			check.Reset(v.c.untilRound(viewCheck))
			last, err := v.last(ctx)
			if err != nil || last == v.revision {
				doubted = false
				continue
			}
			// A change may be on its way: only one that stays away is missed.
			if doubted && doubt == v.revision {
				return errors.New("watch missed a change")
			}
			doubt, doubted = v.revision, true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// last asks the leader for the bucket's newest revision.
func (v *view[T]) last(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	s, err := v.c.js.Stream(ctx, v.c.n.bucketStream(v.kv.Bucket()))
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.LastSeq, nil
}

func (v *view[T]) apply(entries map[string]T, e jetstream.KeyValueEntry) {
	if e.Operation() != jetstream.KeyValuePut {
		delete(entries, e.Key())
		return
	}
	value, err := v.decode(e.Value())
	if err != nil {
		v.c.log.Error("bucket holds what cannot be read", "bucket", v.kv.Bucket(), "key", e.Key(), "error", err)
		delete(entries, e.Key())
		return
	}
	entries[e.Key()] = value
}

// stopWatch ends w and drops what it still delivers: its callback blocks on a full
// channel, and would for ever.
func stopWatch(w jetstream.KeyWatcher) {
	_ = w.Stop() // fails only if the connection is closed, which ends it too
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	for {
		select {
		case _, ok := <-w.Updates():
			if !ok {
				return
			}
		case <-limit.C:
			return
		}
	}
}
