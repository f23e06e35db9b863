package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
	"github.com/osiris/osiris/pkg/protocol"
)

func TestLostEvents(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var want strings.Builder
		for i := range 400 {
			fmt.Fprintf(&want, "data: %d\n\n", i)
		}
		k := r.worker(20, func(_ context.Context, a *Attempt) (Outcome, error) {
			for i := range 400 {
				if err := a.Chunk(fmt.Appendf(nil, "data: %d\n\n", i)); err != nil {
					return Outcome{}, err
				}
				if i%50 == 0 {
					a.link.out.flush()
				}
			}
			return Outcome{}, nil
		})
		lossy := k.linkTo(cl.cfg.ID)
		defer k.unlink(lossy)
		var sent, lost atomic.Int32
		send := lossy.out.send
		lossy.out.mu.Lock()
		lossy.out.send = func(subject string, data []byte) error {
			if sent.Add(1)%3 == 0 {
				lost.Add(1)
				return nil
			}
			return send(subject, data)
		}
		lossy.out.mu.Unlock()
		var wg sync.WaitGroup
		for range 10 {
			s := r.submit(cl, newJob("{}"))
			wg.Go(func() {
				res := collect(s, patience)
				if res.text != want.String() || res.failed != nil || res.err != nil {
					t.Errorf("%d bytes of %d, %+v %v", len(res.text), want.Len(), res.failed, res.err)
				}
			})
		}
		wg.Wait()
		if lost.Load() == 0 {
			t.Fatal("nothing was lost")
		}
		r.empty()
	})
}

func TestServerRestarts(t *testing.T) {
	t.Parallel()
	natstest.EachOwn(t, func(t *testing.T, n *natstest.NATS) {
		r := newRig(t, n, Config{})
		cl := r.client()
		next := make(chan struct{})
		r.worker(4, func(ctx context.Context, a *Attempt) (Outcome, error) {
			for i := 0; ; i++ {
				select {
				case <-ctx.Done():
					return Outcome{}, context.Cause(ctx)
				case _, more := <-next:
					if !more {
						return Outcome{}, nil
					}
				}
				if err := a.Chunk(fmt.Appendf(nil, "%d,", i)); err != nil {
					return Outcome{}, err
				}
			}
		})
		s := r.submit(cl, newJob("{}"))
		next <- struct{}{}
		awaitEvent(t, s, Chunk)
		var waiting []*Stream
		for range 10 { // four of them run, the others wait
			w := r.submit(cl, newJob("{}"))
			within(t, patience, "stored", w.Stored)
			waiting = append(waiting, w)
		}
		for i := range n.Nodes() {
			n.Kill(i)
			if n.Nodes() == 1 { // said while nobody could hear it
				next <- struct{}{}
			}
			n.Restart(t, i)
		}
		within(t, election, "connected again", func() bool { return cl.conn.Ready() == nil })
		close(next)
		for i, w := range append(waiting, s) {
			res := collect(w, election)
			if res.failed != nil || res.err != nil {
				t.Fatalf("job %d: %+v %v", i, res.failed, res.err)
			}
		}
	})
}

// A worker at a full window whose acknowledgements were lost goes on when it next
// says that it is alive.
func TestLostAcks(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		const pieces, size = 64, 64 << 10
		var emitted atomic.Int32
		k := r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			for range pieces {
				if err := a.Chunk(make([]byte, size)); err != nil {
					return Outcome{}, err
				}
				emitted.Add(1)
			}
			return Outcome{}, nil
		})
		var deaf atomic.Bool
		deaf.Store(true)
		cl.mu.Lock()
		cl.controls[k.control] = newOutbox(func(subject string, data []byte) error {
			if deaf.Load() {
				return nil
			}
			return cl.conn.nc.Publish(subject, data)
		}, k.control, controlWindow)
		cl.mu.Unlock()
		s := r.submit(cl, newJob("{}"))
		got := 0
		for {
			e, err := s.Next(2 * silentAfter)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%d of %d bytes: %v", got, pieces*size, err)
			}
			if e.Kind == Chunk {
				got += len(e.Data)
			}
			if got >= window-2*size { // all that fits into the window: whatever was acknowledged until now is lost
				deaf.Store(false)
			}
		}
		if got != pieces*size {
			t.Fatalf("%d of %d bytes", got, pieces*size)
		}
	})
}

// An answer that broke off within an event does not spoil the error after it.
func TestFailureWithinAnEvent(t *testing.T) {
	s := &Stream{cl: &Client{}}
	s.seq.offer(1, 1, Started, false)
	s.gatherLocked(&frame{attempt: 1, number: 1, kind: Answer, more: true, data: []byte("half")})
	s.failLocked(protocol.ErrWorkerLost())
	res := collect(s, 0)
	if res.failed == nil || res.failed.Code != protocol.ErrWorkerLost().Code || res.failed.Status != protocol.ErrWorkerLost().Status {
		t.Fatalf("%+v", res.failed)
	}
}

// A server that comes back without its data is furnished again, and serves.
func TestStreamsLost(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		k := r.worker(1, say("x"))
		if err := k.conn.PublishModels(t.Context(), PoolModels{Pool: "default", Models: []Model{{ID: "m"}}}); err != nil {
			t.Fatal(err)
		}
		for _, want := range r.conn.streams() {
			if err := r.conn.js.DeleteStream(t.Context(), want.Name); err != nil {
				t.Fatal(err)
			}
		}
		if res := collect(r.submit(cl, newJob("{}")), patience); res.text != "x" || res.failed != nil {
			t.Fatalf("%+v %v", res.failed, res.err)
		}
	})
}

// An end too long for one frame ends the stream with its last part.
func TestLongEnd(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		long := strings.Repeat("why ", maxFrameData/2)
		r.worker(1, func(context.Context, *Attempt) (Outcome, error) { return Outcome{}, protocol.ErrUpstream(long) })
		if res := collect(r.submit(cl, newJob("{}")), patience); res.failed == nil || res.failed.Message != long || res.err != nil {
			t.Fatalf("%v", res.err)
		}
	})
}
