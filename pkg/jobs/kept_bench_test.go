package jobs

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// BenchmarkKept compares the cost of a kept job with that of a plain one, broker
// included: the metric x-plain of the second is what keeping costs.
func BenchmarkKept(b *testing.B) {
	n := natstest.Shared(b, 1)
	var plain float64
	b.Run("plain", func(b *testing.B) { plain = submitAll(b, n, nil) })
	b.Run("kept", func(b *testing.B) {
		if kept := submitAll(b, n, &Keep{}); plain > 0 {
			b.ReportMetric(kept/plain, "x-plain")
		}
	})
}

// submitAll answers jobs, 64 at a time, and returns the CPU time of each in
// microseconds.
func submitAll(b *testing.B, n *natstest.NATS, keep *Keep) float64 {
	c, err := Connect(b.Context(), Config{URL: n.URLs(), Namespace: n.Namespace})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	k, err := Consume(b.Context(), c, ConsumeConfig{Slots: 256}, func(_ context.Context, a *Attempt) (Outcome, error) {
		return Outcome{}, a.Answer(a.Job().Body)
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = k.Stop(context.Background()) }()
	cl, err := NewClient(b.Context(), c, ClientConfig{})
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	body := string(randomBody(1000))
	b.SetParallelism(32)
	b.ResetTimer()
	before := processTime(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			j := newJob(body)
			j.Stream, j.Keep = false, keep
			s, err := cl.Submit(b.Context(), j)
			if err != nil {
				b.Error(err)
				return
			}
			if res := collect(s, patience); res.text != body {
				b.Errorf("got %+v", res.err)
			}
			s.Close()
		}
	})
	each := float64((processTime(b) - before).Microseconds()) / float64(b.N)
	b.ReportMetric(each, "cpu-us/op")
	return each
}

func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
