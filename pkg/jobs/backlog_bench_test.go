package jobs

import (
	"context"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

var (
	backlog      = flag.Int("backlog", 2_000, "jobs that wait in BenchmarkBacklog")
	backlogNodes = flag.Int("backlog-nodes", 1, "servers of BenchmarkBacklog")
)

// BenchmarkBacklog compares what jobs cost with many waiting with what they cost in an
// empty queue, broker included: submitting one, and submitting one and running another,
// so that as many wait afterwards. The metric x-empty is the ratio of processor time.
// With a million (-backlog 1000000 -benchtime 20000x) it needs 3 GB of disk.
func BenchmarkBacklog(b *testing.B) {
	loads := []struct {
		name    string
		workers int
		slots   int
		pause   time.Duration // of the model
	}{
		{"model=0s/slots=64", 1, 64, 0},
		{"model=0s/workers=8/slots=1", 8, 1, 0},
		{"model=0s/slots=1", 1, 1, 0},
		{"model=50ms/slots=100", 1, 100, 50 * time.Millisecond},
	}
	empty := map[string]float64{}
	for _, waiting := range []int{0, *backlog} {
		report := func(b *testing.B, what string, each float64) {
			b.ReportMetric(each, "cpu-us/job")
			if waiting == 0 {
				empty[what] = each
			} else if empty[what] > 0 {
				b.ReportMetric(each/empty[what], "x-empty")
			}
		}
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			q := newBacklog(b, waiting)
			for _, l := range loads {
				b.Run("turnover/"+l.name, func(b *testing.B) { report(b, l.name, q.turnover(b, l.workers, l.slots, l.pause)) })
			}
			b.Run("submit", func(b *testing.B) { report(b, "submit", q.submit(b)) })
		})
	}
}

// backlogQueue is a queue with jobs of a frontend that expects none of them, which
// therefore tells the workers to forget each one.
type backlogQueue struct {
	conn   *Conn
	client *Client
	inbox  string // of confirmations
	acks   chan struct{}
}

func newBacklog(b *testing.B, waiting int) *backlogQueue {
	n := natstest.Shared(b, *backlogNodes)
	c, err := Connect(b.Context(), Config{URL: n.URLs(), Namespace: n.Namespace, MaxQueued: 1 << 22, MaxQueuedBytes: 3 << 30})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	if err := c.EnsurePool(b.Context(), "default"); err != nil {
		b.Fatal(err)
	}
	cl, err := NewClient(b.Context(), c, ClientConfig{MaxWaiting: 1 << 22})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cl.Close)
	q := &backlogQueue{conn: c, client: cl, inbox: nats.NewInbox(), acks: make(chan struct{}, 4096)}
	sub, err := c.nc.Subscribe(q.inbox, func(*nats.Msg) { q.acks <- struct{}{} })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sub.Unsubscribe() })
	for sent := range waiting {
		if sent >= cap(q.acks)/2 {
			<-q.acks
		}
		q.put(b)
	}
	for range min(waiting, cap(q.acks)/2) {
		<-q.acks
	}
	return q
}

// put queues a job, as Submit does, and leaves its confirmation to q.acks.
func (q *backlogQueue) put(b *testing.B) {
	j := newJob(`{"model":"echo","messages":[{"role":"user","content":"How many jobs can wait?"}]}`)
	j.Timeout = 24 * time.Hour
	payload, err := encodeJob(make([]byte, 0, 512), q.client.cfg.ID, j, nil)
	if err == nil {
		err = q.conn.nc.PublishRequest(q.conn.n.job(j.Class, j.Pool, j.Tenant, j.ID), q.inbox, payload)
	}
	if err != nil {
		b.Error(err)
	}
}

// turnover runs b.N jobs and queues one for each that ended. It returns the processor
// time of such a pair in microseconds.
func (q *backlogQueue) turnover(b *testing.B, workers, slots int, pause time.Duration) float64 {
	ended := make(chan struct{}, 4*workers*slots)
	var begun atomic.Int64
	for range workers {
		k, err := Consume(b.Context(), q.conn, ConsumeConfig{Slots: slots}, func(_ context.Context, a *Attempt) (Outcome, error) {
			if pause > 0 {
				<-time.After(pause)
			}
			if begun.Add(1) <= int64(b.N) {
				defer func() { ended <- struct{}{} }()
			}
			return Outcome{}, a.Answer([]byte("x"))
		})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = k.Stop(context.Background()) }()
	}
	b.ResetTimer()
	before := processTime(b)
	for range min(2*workers*slots, b.N) {
		q.put(b)
	}
	for range b.N {
		<-ended
		<-q.acks
		q.put(b)
	}
	b.StopTimer()
	each := float64((processTime(b) - before).Microseconds()) / float64(b.N)
	for range min(2*workers*slots, b.N) {
		<-q.acks
	}
	return each
}

// submit queues b.N jobs and waits until all are known to be stored.
func (q *backlogQueue) submit(b *testing.B) float64 {
	streams := make([]*Stream, 0, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	before := processTime(b)
	for range b.N {
		j := newJob(`{"model":"echo","messages":[{"role":"user","content":"How many jobs can wait?"}]}`)
		s, err := q.client.Submit(b.Context(), j)
		if err != nil {
			b.Fatal(err)
		}
		streams = append(streams, s)
	}
	for _, s := range streams {
		for !s.Stored() {
			if _, err := s.Next(10 * time.Millisecond); err == nil {
				b.Fatal("a job began without a worker")
			}
		}
	}
	b.StopTimer()
	each := float64((processTime(b) - before).Microseconds()) / float64(b.N)
	for _, s := range streams {
		s.Close()
	}
	return each
}
