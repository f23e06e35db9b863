package jobs

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// listener is a client without a queue, and streams of its.
func listener(cfg ClientConfig, n int) (*Client, []*Stream) {
	cl := &Client{cfg: cfg, log: slog.New(slog.DiscardHandler), workers: newLiveness(), streams: map[ID]*Stream{}}
	streams := make([]*Stream, n)
	for i := range streams {
		streams[i] = &Stream{cl: cl, job: NewID(), wake: make(chan struct{}, 1)}
		cl.streams[streams[i].job] = streams[i]
	}
	return cl, streams
}

// message puts frames together.
func message(frames ...frame) *nats.Msg {
	m := &nats.Msg{Data: []byte{frameVersion}}
	for i := range frames {
		m.Data = appendFrame(m.Data, &frames[i])
	}
	return m
}

// TestStartedAlone holds that the first event of an attempt ends Next by itself or,
// for a client that is in no hurry, with the event after it.
func TestStartedAlone(t *testing.T) {
	for _, unhurried := range []bool{false, true} {
		t.Run(strconv.FormatBool(unhurried), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl, streams := listener(ClientConfig{Unhurried: unhurried}, 1)
				s := streams[0]
				got := make(chan EventKind, 2)
				go func() {
					for range 2 {
						e, err := s.Next(time.Hour)
						if err != nil {
							t.Error(err)
						}
						got <- e.Kind
					}
				}()
				synctest.Wait()
				cl.onEvents(message(frame{job: s.job, attempt: 1, number: 1, kind: Started}))
				synctest.Wait()
				if alone := len(got) == 1; alone == unhurried {
					t.Fatalf("%d events after the first", len(got))
				}
				cl.onEvents(message(frame{job: s.job, attempt: 1, number: 2, kind: Chunk, data: []byte("x")}))
				if first, second := <-got, <-got; first != Started || second != Chunk {
					t.Errorf("%v, %v", first, second)
				}
				s.timer.Stop()
			})
		})
	}
}

// TestSharedMessage holds that the frames of a message come to their streams, each in
// order, up to where the message cannot be read.
func TestSharedMessage(t *testing.T) {
	cl, streams := listener(ClientConfig{}, 2)
	a, b := streams[0], streams[1]
	m := message(
		frame{job: a.job, attempt: 1, number: 1, kind: Started},
		frame{job: a.job, attempt: 1, number: 2, kind: Chunk, data: []byte("a2")},
		frame{job: b.job, attempt: 1, number: 1, kind: Chunk, data: []byte("b1")},
		frame{job: NewID(), attempt: 1, number: 1, kind: Chunk, data: []byte("nobody's")},
		frame{job: a.job, attempt: 1, number: 3, kind: Chunk, data: []byte("a3")},
		frame{job: a.job, attempt: 1, number: 4, kind: Chunk, data: []byte("a4")},
	)
	m.Data = m.Data[:len(m.Data)-1] // of the last frame
	cl.onEvents(m)
	for i, want := range []string{"1 2a2 3a3", "1b1"} {
		var got []string
		for {
			e, err := streams[i].Next(0)
			if errors.Is(err, ErrSilent) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, strconv.Itoa(int(e.Number))+string(e.Data))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("stream %d: %q, want %q", i, got, want)
		}
		if streams[i].in != nil || streams[i].base != nil {
			t.Error("an idle stream has a buffer")
		}
	}
}

// BenchmarkDispatch is what a chunk costs from the message to the reader: 64 chunks of
// one job in a message, as a fast model's, and one of each of 64 jobs, as of paced
// ones. It must not allocate.
func BenchmarkDispatch(b *testing.B) {
	const frames = 64
	data := make([]byte, 180)
	for name, n := range map[string]int{"one job": 1, "many jobs": frames} {
		b.Run(name, func(b *testing.B) {
			cl, streams := listener(ClientConfig{}, n)
			for _, s := range streams {
				cl.onEvents(message(frame{job: s.job, attempt: 1, number: 1, kind: Started}))
			}
			all := make([]frame, frames)
			for i := range all {
				s := streams[i*n/frames]
				all[i] = frame{job: s.job, attempt: 1, number: 2 + uint32(i%(frames/n)), kind: Chunk, data: data}
			}
			m := message(all...)
			b.ReportAllocs()
			for b.Loop() {
				for _, s := range streams {
					s.seq.next = 2
				}
				cl.onEvents(m)
				for _, s := range streams {
					for s.Ready() {
						if _, err := s.Next(0); err != nil {
							b.Fatal(err)
						}
					}
					_, _ = s.Next(0)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/frames, "ns/chunk")
		})
	}
}
