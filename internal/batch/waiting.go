package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

const (
	// mostWaiting is how many batches wait here, at a few KB and four small messages in
	// ten seconds each. Those beyond it lie in the queue, each tried again after
	// putOffFor.
	mostWaiting = 1000
	putOffFor   = 5 * time.Minute
	// takeEvery is how often a driver whose places are taken looks for batches that no
	// other one takes.
	takeEvery = 500 * time.Millisecond
	// offerEvery is how often it offers one that waits to the others.
	offerEvery = 5 * time.Second
	// waitingPoll is how often a batch that waits is read, should nobody have told of a
	// change.
	waitingPoll = 30 * time.Second
	// endingsMost is how many batches are ended out of their turn at a time.
	endingsMost = 4
)

// errYielded says that a batch gave its place to another tenant's.
var errYielded = errors.New("another batch has its turn")

// movedError says that a batch that waited is handed to the other drivers.
type movedError struct{ after time.Duration }

func (movedError) Error() string { return "the batch waits elsewhere" }

// takeRun takes a batch to drive. While all places are taken it takes those that no
// other driver is free for, so that they are known here: one of a tenant that has
// none running gets its turn, and one that is cancelled or expires is ended. The run
// is nil if there is none just now.
func (d *Driver) takeRun(ctx context.Context, offered *time.Time) (*jobs.Run, error) {
	driven, waiting := d.places.count()
	if driven < d.cfg.Running {
		return d.conn.TakeRun(ctx)
	}
	d.places.look()
	if now := time.Now(); waiting > 0 && now.Sub(*offered) > offerEvery {
		*offered = now
		d.places.first().hand(0)
	}
	if waiting >= mostWaiting {
		d.places.excess().hand(putOffFor)
	}
	run, err := d.conn.TryRun(ctx)
	if run == nil && err == nil {
		sleep(ctx, takeEvery)
	}
	return run, err
}

// hand gives a batch that waits to the other drivers, after a time.
func (s *seat) hand(after time.Duration) {
	if s == nil { // its turn came meanwhile
		return
	}
	select {
	case s.move <- after:
	default:
	}
}

// await waits for a batch's turn. One that has nothing to do but to end does not wait
// for it. leave is called when the turn is over.
func (d *Driver) await(ctx context.Context, run *jobs.Run, s *seat) (leave func(), err error) {
	begin, _ := d.places.signals(s)
	none := func() {}
	select {
	case <-begin:
		return none, nil
	default:
	}
	d.metrics.waiting.Inc()
	defer d.metrics.waiting.Dec()
	moved := make(chan struct{}, 1)
	unwatch, err := d.conn.WatchBatch(run.Batch, func() {
		select {
		case moved <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return none, err
	}
	defer unwatch()
	for {
		ends, until, err := d.ends(ctx, run)
		if err != nil {
			return none, err
		}
		endings := d.endings
		if !ends {
			endings = nil
		}
		timer := time.NewTimer(until)
		select {
		case <-begin:
			timer.Stop()
			return none, nil
		case endings <- struct{}{}:
			timer.Stop()
			return func() { <-endings }, nil
		case after := <-s.move:
			timer.Stop()
			return none, movedError{after}
		case <-ctx.Done():
			timer.Stop()
			return none, context.Cause(ctx)
		case <-moved:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// ends reports whether a batch that waits has nothing to do but to end, and until
// when that holds.
func (d *Driver) ends(ctx context.Context, run *jobs.Run) (ends bool, until time.Duration, err error) {
	b, err := d.conn.Batch(ctx, run.Tenant, run.Batch)
	if errors.Is(err, jobs.ErrNoBatch) { // nothing to wait for
		return true, waitingPoll, nil
	}
	if err != nil {
		return false, 0, fmt.Errorf("wait for a turn: %w", err)
	}
	left := time.Until(time.Unix(b.Object.ExpiresAt, 0))
	if left <= 0 || b.Object.Status.Ends() {
		return true, waitingPoll, nil
	}
	return false, min(left, waitingPoll), nil
}
