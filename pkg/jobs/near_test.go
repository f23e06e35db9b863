package jobs

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// countdown is an answer of so many events.
func countdown(events int) (Handler, string) {
	var want strings.Builder
	for i := range events {
		fmt.Fprintf(&want, "data: %d\n\n", i)
	}
	return func(_ context.Context, a *Attempt) (Outcome, error) {
		for i := range events {
			if err := a.Chunk(fmt.Appendf(nil, "data: %d\n\n", i)); err != nil {
				return Outcome{}, err
			}
		}
		return Outcome{FinishReason: "stop"}, nil
	}, want.String()
}

// brokered counts the messages of events for a client that go through the broker.
func (r *rig) brokered(cl *Client) *atomic.Int64 {
	r.t.Helper()
	n := new(atomic.Int64)
	if _, err := r.conn.nc.Subscribe(r.conn.n.eventsSub(cl.cfg.ID), func(*nats.Msg) { n.Add(1) }); err != nil {
		r.t.Fatal(err)
	}
	if err := r.conn.flush(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// Events of a worker reach a frontend on its connection whole and in order, many streams at
// once, and none of them travels through the broker; those for other frontends do.
func TestNearEventsStayHere(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Shared(t, 1), Config{})
	far := r.client()
	r.together = true
	near := r.client()
	passed := []*atomic.Int64{r.brokered(near), r.brokered(far)}
	h, want := countdown(200)
	r.worker(20, h)
	var wg sync.WaitGroup
	for i := range 40 {
		s := r.submit([]*Client{near, far}[i%2], newJob("{}"))
		wg.Go(func() {
			if res := collect(s, patience); res.text != want || res.failed != nil || res.err != nil {
				t.Errorf("%d bytes of %d, %+v %v", len(res.text), len(want), res.failed, res.err)
			}
		})
	}
	wg.Wait()
	r.empty()
	within(t, patience, "events for the other frontend in the broker", func() bool { return passed[1].Load() > 0 })
	if n := passed[0].Load(); n != 0 {
		t.Errorf("%d messages of events in the broker, for a frontend on the worker's connection", n)
	}
}

// A frame that is read with the next one wakes nobody.
func TestNearPatientFrameWakesNobody(t *testing.T) {
	cl := &Client{streams: map[ID]*Stream{}}
	s := &Stream{cl: cl, job: NewID(), wake: make(chan struct{}, 1), waiting: true}
	cl.streams[s.job] = s
	for i, f := range []struct {
		kind  EventKind
		haste haste
		woken int
	}{{Started, patient, 0}, {Opened, patient, 0}, {Chunk, sociable, 1}} {
		cl.hand(&frame{job: s.job, attempt: 1, number: uint32(i + 1), kind: f.kind}, "control", f.haste)
		if len(s.wake) != f.woken {
			t.Fatalf("after %v: %d wake-ups, want %d", f.kind, len(s.wake), f.woken)
		}
	}
}
