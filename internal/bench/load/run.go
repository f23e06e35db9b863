package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/osiris/osiris/internal/bench/histogram"
)

// pauseAfterFailure keeps a worker from spinning against a server that is not there.
const pauseAfterFailure = 10 * time.Millisecond

// run is a load under way.
type run struct {
	cfg     Config
	url     *url.URL
	records []*record
	begun   atomic.Int64
	first   uint64 // id of request 0, another one in each run
	start   time.Time
}

// Run puts the load of cfg on its server and returns what came of it when the last answer
// is there. Failed requests are no error: they are counted. When ctx ends, what is under
// way is abandoned, and the result is of what was complete by then.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	cfg.setDefaults()
	u, err := cfg.check()
	if err != nil {
		return nil, err
	}
	if cfg.Kind == Batch {
		return runBatch(ctx, &cfg)
	}
	r := &run{cfg: cfg, url: u, first: rand.Uint64(), start: time.Now()}
	for range min(8, cfg.Concurrency, runtime.GOMAXPROCS(0)) {
		r.records = append(r.records, &record{failed: map[string]int64{}})
	}
	if cfg.Rate > 0 {
		err = r.atRate(ctx)
	} else {
		err = r.together(ctx)
	}
	if err != nil {
		return nil, err
	}
	return r.result(), nil
}

// together keeps Concurrency requests under way.
func (r *run) together(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	for i := range r.cfg.Concurrency {
		w, err := newWorker(&r.cfg, r.url)
		if err != nil {
			return err
		}
		workers.Go(func() {
			defer w.conn.close()
			if !waitUntil(ctx, r.start.Add(r.cfg.Ramp*time.Duration(i)/time.Duration(r.cfg.Concurrency))) {
				return
			}
			r.loop(ctx, w, r.records[i%len(r.records)])
		})
	}
	return nil
}

// loop sends one request after the other until the run is over.
func (r *run) loop(ctx context.Context, w *worker, rec *record) {
	for ctx.Err() == nil {
		now := time.Now()
		if r.cfg.Duration > 0 && now.Sub(r.start) >= r.cfg.Duration {
			return
		}
		n, ok := r.next()
		if !ok {
			return
		}
		if !r.one(ctx, w, rec, n, now) && !waitUntil(ctx, time.Now().Add(pauseAfterFailure)) {
			return
		}
	}
}

// next returns the number of another request, from 0; ok is false when there is none.
func (r *run) next() (n int64, ok bool) {
	for {
		n = r.begun.Load()
		if r.cfg.Requests > 0 && n >= r.cfg.Requests {
			return 0, false
		}
		if r.begun.CompareAndSwap(n, n+1) {
			return n, true
		}
	}
}

// one sends request n, which was due at a time, and reports whether its answer is right.
func (r *run) one(ctx context.Context, w *worker, rec *record, n int64, due time.Time) bool {
	t := turn{due: due, sent: time.Now(), measured: due.Sub(r.start) >= r.cfg.Warmup}
	var gap *histogram.Histogram
	if t.measured {
		gap = &rec.gap
	}
	o, err := w.ask(ctx, r.first+uint64(n), gap)
	if err != nil && ctx.Err() != nil {
		rec.abandon()
		return false
	}
	rec.add(t, o, r.cfg.Kind, err)
	return err == nil
}

// numbered is a request that is due.
type numbered struct {
	n   int64
	due time.Time
}

// atRate begins each request when it is due, whether others have ended or not. Where
// Concurrency of them are under way, it waits, and is late by that.
func (r *run) atRate(ctx context.Context) error {
	plan := schedule{rate: r.cfg.Rate, ramp: r.cfg.Ramp, burst: r.cfg.Burst}
	queue := make(chan numbered)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(queue)
	for started := 0; ; {
		at := plan.due(r.begun.Load())
		if r.cfg.Duration > 0 && at >= r.cfg.Duration {
			return nil
		}
		if !waitUntil(ctx, r.start.Add(at)) {
			return nil
		}
		n, ok := r.next()
		if !ok {
			return nil
		}
		next := numbered{n, r.start.Add(at)}
		select {
		case queue <- next:
			continue
		default:
		}
		if started < r.cfg.Concurrency {
			w, err := newWorker(&r.cfg, r.url)
			if err != nil {
				return fmt.Errorf("request %d: %w", n, err)
			}
			rec := r.records[started%len(r.records)]
			started++
			workers.Go(func() { r.serve(ctx, w, rec, next, queue) })
			continue
		}
		select {
		case queue <- next:
		case <-ctx.Done():
			r.records[0].abandon()
			return nil
		}
	}
}

// serve sends what is due, from first on, until the queue ends.
func (r *run) serve(ctx context.Context, w *worker, rec *record, first numbered, queue <-chan numbered) {
	defer w.conn.close()
	r.one(ctx, w, rec, first.n, first.due)
	for next := range queue {
		r.one(ctx, w, rec, next.n, next.due)
	}
}

// waitUntil waits until t; it reports false if ctx ended before.
func waitUntil(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
