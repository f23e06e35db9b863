package jobs

import (
	"context"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// stalling is a way to a broker that can be blocked: connections stay, nothing passes.
type stalling struct {
	net.Listener
	to string
	mu sync.RWMutex // held while blocked
	wg sync.WaitGroup
}

func newStalling(t *testing.T, to string) *stalling {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stalling{Listener: l, to: to}
	s.wg.Go(s.serve)
	t.Cleanup(func() { l.Close(); s.wg.Wait() })
	return s
}

func (s *stalling) serve() {
	for {
		in, err := s.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", s.to)
		if err != nil {
			in.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			s.wg.Go(func() {
				defer in.Close()
				defer out.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := way[0].Read(buf)
					s.mu.RLock()
					s.mu.RUnlock() //nolint:staticcheck // passed when nothing is blocked
					if _, werr := way[1].Write(buf[:n]); err != nil || werr != nil {
						return
					}
				}
			})
		}
	}
}

// A broker that says nothing, or a way to it that is cut, is not a worker's fault: its
// streams go on when it is over.
func TestSilentBrokerBlamesNobody(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		broker, err := url.Parse(r.nats.URL(0))
		if err != nil {
			t.Fatal(err)
		}
		way := newStalling(t, broker.Host)
		goOn := make(chan struct{})
		r.worker(2, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if !a.Job().Stream {
				<-goOn
				return Outcome{}, a.Answer([]byte("x"))
			}
			if err := a.Chunk([]byte("data: 1\n\n")); err != nil {
				return Outcome{}, err
			}
			<-goOn
			return Outcome{}, a.Chunk([]byte("data: 2\n\n"))
		})
		far := *r
		far.cfg.URL = "nats://" + way.Addr().String()
		cl := far.client()
		j := newJob("{}")
		j.Stream = false
		streamed, plain := far.submit(cl, newJob("{}")), far.submit(cl, j)
		awaitEvent(t, streamed, Chunk)
		awaitEvent(t, plain, Started)

		way.mu.Lock()
		<-time.After(hopelessAfter + time.Second)
		close(goOn)
		way.mu.Unlock()
		if res := collect(streamed, patience); res.failed != nil {
			t.Errorf("stream: %+v", res)
		}
		if res := collect(plain, patience); res.failed != nil || res.text != "x" {
			t.Errorf("answer: %+v", res)
		}
		if got := cl.workers.deaths(); got != 0 {
			t.Errorf("%d workers found dead", got)
		}
	})
}

// Silence counts while this side could hear; that nobody is at an address is certain.
func TestHealth(t *testing.T) {
	start := time.Now()
	for _, c := range []struct {
		name   string
		heeds  time.Duration // when this side last could hear
		gone   bool
		silent time.Duration
		want   health
	}{
		{"just heard", 0, false, 0, healthy},
		{"nothing is heard here", 0, false, time.Minute, healthy},
		{"silent", 2 * time.Second, false, 2 * time.Second, suspect},
		{"silent for long", 3 * time.Second, false, time.Minute, dead},
		{"silent for too long", 11 * time.Second, false, 11 * time.Second, hopeless},
		{"gone", 0, true, time.Second, dead},
		{"gone for good", 0, true, goneForGood, hopeless},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLiveness()
			l.seen("w", start)
			l.hears(start.Add(c.heeds))
			if c.gone {
				l.lost("w")
			}
			if got := l.health("w", start.Add(c.silent)); got != c.want {
				t.Errorf("health %d, want %d", got, c.want)
			}
		})
	}
}
