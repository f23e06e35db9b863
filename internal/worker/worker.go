package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/osiris/osiris/pkg/jobs"
)

// Worker takes the jobs of a pool and answers them.
type Worker struct {
	conn    *jobs.Conn
	log     *slog.Logger
	metrics *metrics
	gate    *gate
	buffers buffers

	serving   serving
	discovery discovery

	cancel     context.CancelFunc // ends discovery and publishing
	background context.Context    // of both
	running    sync.WaitGroup     // publishing, and consumers that a reload replaced

	mu       sync.Mutex     // serialises Reload and Stop, and guards the below
	cfg      Config         // with defaults
	consumer *jobs.Consumer // nil after Stop

	// ended is done when the grace period of Stop is over: it bounds the consumers
	// that a reload replaced.
	ended context.Context
	abort context.CancelFunc
}

var errStopped = errors.New("worker stopped")

// New starts a worker on conn, which must stay open until Stop has returned. It
// takes jobs at once: the providers' model lists are asked in the background. reg
// may be nil.
func New(ctx context.Context, cfg Config, conn *jobs.Conn, log *slog.Logger, reg prometheus.Registerer) (*Worker, error) {
	cfg = cfg.withDefaults()
	cfg.ID = orElse(cfg.ID, newID())
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	w := &Worker{conn: conn, log: log.With("worker", cfg.ID), gate: newGate(), cfg: cfg}
	var err error
	if w.metrics, err = newMetrics(reg, w.gate); err != nil {
		return nil, err
	}
	w.background, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	w.ended, w.abort = context.WithCancel(context.WithoutCancel(ctx))
	w.discovery = discovery{log: w.log, changed: w.refresh}
	w.serving.dirty = make(chan struct{}, 1)
	w.serving.configure(&cfg)
	w.discovery.start(w.background, cfg.Providers)
	w.refresh()
	w.running.Go(func() { w.publish(w.background) })
	if w.consumer, err = w.consume(ctx, cfg); err != nil {
		w.halt()
		return nil, err
	}
	return w, nil
}

// consume starts to take jobs as cfg says.
func (w *Worker) consume(ctx context.Context, cfg Config) (*jobs.Consumer, error) {
	c, err := jobs.Consume(ctx, w.conn, jobs.ConsumeConfig{
		WorkerID: cfg.ID, Pool: cfg.Pool, Slots: cfg.Slots, Reserved: cfg.Reserved, Logger: w.log,
	}, w.handle)
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	return c, nil
}

// Reload replaces the configuration. Running attempts finish with what they began
// with; while they do after a change of pool or slots, the worker may run more
// jobs than it has slots. A faulty configuration changes nothing. Config.ID is
// fixed by New.
func (w *Worker) Reload(ctx context.Context, cfg Config) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.consumer == nil {
		return errStopped
	}
	cfg = cfg.withDefaults()
	cfg.ID = w.cfg.ID
	if err := cfg.validate(); err != nil {
		return err
	}
	old := w.cfg
	if cfg.Pool != old.Pool || cfg.Slots != old.Slots || cfg.Reserved != old.Reserved {
		next, err := w.consume(ctx, cfg)
		if err != nil {
			return err
		}
		w.replace(next)
	}
	w.cfg = cfg
	w.serving.configure(&cfg)
	w.discovery.start(w.background, cfg.Providers)
	w.refresh()
	return nil
}

// Stop takes no more jobs, hands back what was not begun and waits for running
// attempts; when ctx ends it aborts them. It returns once nothing of the worker
// runs.
func (w *Worker) Stop(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.consumer == nil {
		return nil
	}
	defer context.AfterFunc(ctx, w.abort)()
	err := w.consumer.Stop(ctx)
	w.consumer = nil
	w.halt()
	if err != nil {
		return fmt.Errorf("stop worker: %w", err)
	}
	return nil
}

// replace makes next the consumer. The one before takes no more jobs; what it
// runs, it finishes, however long that takes: Stop cuts it short.
func (w *Worker) replace(next *jobs.Consumer) {
	old, ended := w.consumer, w.ended
	w.consumer = next
	w.running.Go(func() {
		if err := old.Stop(ended); err != nil {
			w.log.Warn("attempts of the former slots were aborted", "error", err)
		}
	})
}

// halt ends what runs in the background and waits for it.
func (w *Worker) halt() {
	w.cancel()
	w.discovery.stop()
	w.running.Wait()
	w.abort()
}

// newID makes up a worker's name that tells where it runs.
func newID() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "worker"
	}
	host = strings.Map(func(r rune) rune {
		if r < 0x80 && jobs.ValidName(string(r)) {
			return r
		}
		return '-'
	}, host)
	return host[:min(len(host), 40)] + "-" + rand.Text()[:8]
}
