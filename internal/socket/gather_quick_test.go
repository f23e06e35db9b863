//go:build linux && !race

package socket_test

import (
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/socket"
)

// processorTime is what this process has used so far.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// pause lets the thread sleep: Go's timers are in steps of a millisecond here.
func pause(tb testing.TB, d time.Duration) {
	tb.Helper()
	ts := syscall.NsecToTimespec(int64(d))
	if err := syscall.Nanosleep(&ts, nil); err != nil && err != syscall.EINTR {
		tb.Fatal(err)
	}
}

// BenchmarkPacedStreams is the processor time of a piece of one of many streams, some
// thousand pieces a second, for reader and writer. The time of an operation is the pace.
func BenchmarkPacedStreams(b *testing.B) {
	for _, kind := range []string{"quick", "gathered"} {
		b.Run(kind, func(b *testing.B) {
			const streams = 100
			g := new(socket.Gatherer)
			wrap := socket.Quick
			if kind == "gathered" {
				wrap = g.Conn
			}
			var readers sync.WaitGroup
			writers := make([]*net.TCPConn, streams)
			for i := range streams {
				here, there := pair(b)
				c := wrap(here)
				writers[i] = there
				readers.Go(func() {
					buf := make([]byte, 4096)
					for {
						if _, err := c.Read(buf); err != nil {
							c.Close()
							return
						}
					}
				})
			}
			piece := make([]byte, 200)
			at, begin := 0, processorTime(b)
			for b.Loop() {
				if _, err := writers[at%streams].Write(piece); err != nil {
					b.Fatal(err)
				}
				if at++; at%3 == 0 { // not all of them at once: streams have their own pace
					pause(b, 300*time.Microsecond)
				}
			}
			b.ReportMetric(float64(processorTime(b)-begin)/float64(b.N), "cpu-ns/op")
			for _, w := range writers {
				w.Close()
			}
			readers.Wait()
			g.Close()
		})
	}
}
