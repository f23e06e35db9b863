package jobs

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// TestRunners starts more jobs than runners may wait, all at once and then one by one.
func TestRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jobs = 2 * spareRunners
		var running, ran atomic.Int32
		end := make(chan struct{})
		r := newRunners(func(*nats.Msg, time.Time) {
			running.Add(1)
			<-end
			running.Add(-1)
			ran.Add(1)
		})
		for range jobs {
			r.start(arrival{})
		}
		synctest.Wait()
		if n := running.Load(); n != jobs {
			t.Fatalf("%d jobs run, want %d", n, jobs)
		}
		for range jobs {
			end <- struct{}{}
		}
		synctest.Wait()
		if n := len(r.spare); n != spareRunners {
			t.Errorf("%d runners wait, want %d", n, spareRunners)
		}
		for range jobs {
			r.start(arrival{})
			end <- struct{}{}
			synctest.Wait()
		}
		r.start(arrival{})
		synctest.Wait()
		close(end)
		r.wait()
		if n := ran.Load(); n != 2*jobs+1 {
			t.Errorf("%d jobs ran, want %d", n, 2*jobs+1)
		}
	})
}

// deep needs a stack as large as a call of a model does.
func deep(n int) byte {
	var room [1 << 10]byte
	if n > 0 {
		room[n] = deep(n - 1)
	}
	return room[n]
}

// BenchmarkRunners is a job's share of its goroutine, beside one that is new each time.
func BenchmarkRunners(b *testing.B) {
	done := make(chan struct{})
	run := func(*nats.Msg, time.Time) {
		deep(10)
		done <- struct{}{}
	}
	b.Run("kept", func(b *testing.B) {
		r := newRunners(run)
		b.ReportAllocs()
		for b.Loop() {
			r.start(arrival{})
			<-done
		}
		r.wait()
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			go run(nil, time.Time{})
			<-done
		}
	})
}
