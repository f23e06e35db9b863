package batch

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// size is how many lines a benchmark runs: 2,000 unless OSIRIS_BATCH_LINES says
// otherwise. 50,000 of 4 KB are the largest batch there is.
func size(t testing.TB) int {
	text := os.Getenv("OSIRIS_BATCH_LINES")
	if text == "" {
		return 2000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// prompts is an input of n lines of about 4 KB.
func prompts(n int) string {
	prompt := strings.Repeat("All work and no play. ", 180)
	var text strings.Builder
	text.Grow(n * (len(prompt) + 200))
	for i := range n {
		text.WriteString(line("request-"+strconv.Itoa(i), prompt))
		text.WriteByte('\n')
	}
	return text.String()
}

// model answers after a while.
func model(latency time.Duration) jobs.Handler {
	return func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		if latency > 0 {
			sleep(ctx, latency)
		}
		return answer(ctx, a)
	}
}

// heapPeak watches the heap until stop, which returns by how many bytes it grew.
// Broker and worker are in this process too.
func heapPeak() (stop func() uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapInuse
	ctx, cancel := context.WithCancel(context.Background())
	peak := make(chan uint64)
	go func() {
		most := before
		for ctx.Err() == nil {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			sleep(ctx, 50*time.Millisecond)
		}
		peak <- most
	}()
	return func() uint64 { cancel(); return <-peak - before }
}

// BenchmarkBatch runs one batch with a model of no latency, and one of 100 ms with
// as many slots as a second has lines.
func BenchmarkBatch(b *testing.B) {
	for _, latency := range []time.Duration{0, 100 * time.Millisecond} {
		b.Run(latency.String(), func(b *testing.B) {
			n, slots := size(b), 150
			input := prompts(n)
			for b.Loop() {
				r := newRig(b, jobstest.One(b))
				r.workerOf("default", slots, model(latency))
				r.driver(nil)
				file := r.upload(input)
				grown := heapPeak()
				began := time.Now()
				id := r.create("", func(s *jobs.StoredBatch) { s.Object.InputFileID = file.ID })
				r.await(id, 10*time.Minute, "validated", func(o *protocol.Batch) bool { return o.Status != protocol.BatchValidating })
				valid := time.Since(began)
				r.await(id, 10*time.Minute, "run", func(o *protocol.Batch) bool {
					return o.Status == protocol.BatchFinalizing || o.Status.Ended()
				})
				ran := time.Since(began) - valid
				o := r.end(id, 10*time.Minute)
				took := time.Since(began)
				if o.Counts.Completed != n {
					b.Fatalf("%+v", o.Counts)
				}
				b.ReportMetric(valid.Seconds(), "s-validated")
				b.ReportMetric((took - ran - valid).Seconds(), "s-files")
				b.ReportMetric(float64(n)/ran.Seconds(), "lines/s")
				b.ReportMetric(float64(grown()>>20), "MB-grown")
				if latency > 0 {
					ideal := time.Duration(n) * latency / time.Duration(slots)
					b.ReportMetric(took.Seconds()/ideal.Seconds(), "x-ideal")
				}
			}
		})
	}
}

// BenchmarkInteractiveBesideBatch measures how long an interactive job waits for its
// first event, alone and while a batch fills the workers.
func BenchmarkInteractiveBesideBatch(b *testing.B) {
	for _, busy := range []bool{false, true} {
		b.Run(fmt.Sprintf("batch=%t", busy), func(b *testing.B) {
			r := newRig(b, jobstest.One(b))
			p := r.interactive(busy, max(b.N, 200))
			b.ReportMetric(float64(p(50).Microseconds()), "µs-p50")
			b.ReportMetric(float64(p(99).Microseconds()), "µs-p99")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// interactive submits n interactive jobs one after the other to a worker with
// reserved slots, which a batch fills if busy, and returns the percentiles of the
// time to their first event.
func (r *rig) interactive(busy bool, n int) (percentile func(p int) time.Duration) {
	r.t.Helper()
	var running atomic.Int64
	h := func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		if a.Job().Class == jobs.Batch {
			running.Add(1)
			defer running.Add(-1)
			sleep(ctx, 20*time.Millisecond)
		}
		return answer(ctx, a)
	}
	const slots, reserved = 16, 2
	k, err := jobs.Consume(r.t.Context(), r.n.ConnectWith(r.t, r.config()), jobs.ConsumeConfig{Slots: slots, Reserved: reserved}, h)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = k.Stop(ctx)
	})
	if busy {
		r.driver(nil)
		id := r.create(repeat("hi", 40_000), nil)
		within(r.t, patience, "the batch fills the worker", func() bool { return running.Load() >= slots-reserved })
		defer func() {
			if _, err := r.conn.CancelBatch(r.t.Context(), "acme", id); err != nil {
				r.t.Error(err)
			}
		}()
	}
	client, err := jobs.NewClient(r.t.Context(), r.n.ConnectWith(r.t, r.config()), jobs.ClientConfig{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(client.Close)
	return r.firstEvents(client, n)
}
