package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/osiris/osiris/pkg/jobs"
)

// errReplaced says that another driver has the batch.
var errReplaced = errors.New("another driver has the batch")

// Driver drives batches: those of which it holds the lease.
type Driver struct {
	cfg     Config
	conn    *jobs.Conn
	client  *jobs.Client
	access  access
	window  *window
	pacer   pacer
	log     *slog.Logger
	metrics *metrics
	held    atomic.Int64 // bytes of requests that are not in the queue yet

	// wrote is called after every durable write, with a word for it. Nil but in
	// tests, which cut a driver off there.
	wrote func(what string)

	places  *places
	endings chan struct{} // has a token for each batch that is ended out of its turn

	mu    sync.Mutex
	turns map[string]*turn // by batch; guarded by mu
}

// turn is one time that this driver drives a batch.
type turn struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it is over
}

// New returns a driver that does nothing before Run. What it is handed stays the
// caller's and must outlive Run. A nil log discards, a nil reg keeps the metrics to
// itself.
func New(
	cfg Config, conn *jobs.Conn, client *jobs.Client, catalogue *jobs.Catalogue, keys *jobs.Keyring,
	log *slog.Logger, reg prometheus.Registerer,
) (*Driver, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Driver{cfg: cfg.withDefaults(), conn: conn, client: client, log: log, turns: map[string]*turn{}}
	d.access = access{keys: keys, catalogue: catalogue, cfg: &d.cfg}
	d.window = newWindow(d.cfg.LinesLeast, d.cfg.LinesMost)
	d.places, d.endings = newPlaces(d.cfg.Running), make(chan struct{}, endingsMost)
	var err error
	if d.metrics, err = newMetrics(reg); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return d, nil
}

// Run takes batches that have no driver and drives them, until ctx ends. Then it
// hands them over to other drivers: lines that are queued or running go on, and
// nothing of the driver runs any more when Run returns.
func (d *Driver) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { d.restore(ctx) })
	var offered time.Time
	for ctx.Err() == nil {
		run, err := d.takeRun(ctx, &offered)
		switch {
		case ctx.Err() != nil:
			if run != nil {
				run.HandOver(0)
			}
		case err != nil:
			d.log.Warn("no batch can be taken, trying on", "error", err)
			sleep(ctx, time.Second)
		case run != nil:
			wg.Go(func() { d.serve(ctx, run) })
		}
	}
}

// restoreEvery is how often batches without a run are looked for.
const restoreEvery = time.Hour

// restore takes care that no batch waits for nothing, until ctx ends.
func (d *Driver) restore(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := d.conn.RestoreRuns(ctx)
		if n > 0 {
			d.log.Warn("batches had lost their runs and go on", "batches", n)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Warn("batches without runs are looked for later", "error", err)
		}
		sleep(ctx, restoreEvery)
	}
}

// troubled is the pause before a batch is taken up again that met an error.
const troubled = 2 * time.Second

// serve drives one batch to its end, or as far as it can, whenever it is its turn.
func (d *Driver) serve(ctx context.Context, run *jobs.Run) {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	leave := d.enter(run.Batch, cancel)
	defer leave()
	s := d.places.enter(run.Tenant, run.Since)
	defer d.places.leave(s)
	err := d.drive(inner, run, s)
	for errors.Is(err, errYielded) {
		d.places.rest(s)
		err = d.drive(inner, run, s)
	}
	moved, elsewhere := errors.AsType[movedError](err)
	switch {
	case err == nil:
	case errors.Is(err, errReplaced), errors.Is(context.Cause(inner), errReplaced):
		run.Abandon()
	case ctx.Err() != nil:
		run.HandOver(0)
	case elsewhere:
		run.HandOver(moved.after)
	default:
		d.log.Error("batch met an error and is taken up again", "batch_id", run.Batch, "error", err)
		run.HandOver(troubled)
	}
}

// drive waits for the turn of a batch, and drives it as long as that lasts.
func (d *Driver) drive(ctx context.Context, run *jobs.Run, s *seat) error {
	leave, err := d.await(ctx, run, s)
	if err != nil {
		return err
	}
	defer leave()
	_, yield := d.places.signals(s)
	d.metrics.running.Inc()
	defer d.metrics.running.Dec()
	v := newDrive(d, run, yield)
	defer v.close()
	return v.live(ctx)
}

// enter waits for an older turn of the same batch to end: its lease ran out while it
// could not reach the broker, which gave the batch out again.
func (d *Driver) enter(batch string, cancel context.CancelCauseFunc) (leave func()) {
	mine := &turn{cancel: cancel, done: make(chan struct{})}
	d.mu.Lock()
	older := d.turns[batch]
	d.turns[batch] = mine
	d.mu.Unlock()
	if older != nil {
		older.cancel(errReplaced)
		<-older.done
	}
	return func() {
		d.mu.Lock()
		if d.turns[batch] == mine {
			delete(d.turns, batch)
		}
		d.mu.Unlock()
		close(mine.done)
	}
}

// note is called after every durable write.
func (d *Driver) note(what string) {
	if d.wrote != nil {
		d.wrote(what)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
