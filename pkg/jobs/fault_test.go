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
	"time"

	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// Whenever a client leaves, nothing of its job stays: not in the queue, not at a
// worker, not in the client.
func TestCancel(t *testing.T) {
	for name, leaveAt := range map[string]func(t *testing.T, r *rig, s *Stream, start func()){
		"before the ack": func(*testing.T, *rig, *Stream, func()) {},
		"queued": func(t *testing.T, _ *rig, s *Stream, _ func()) {
			within(t, 5*time.Second, "stored", s.Stored)
		},
		"before the first token": func(t *testing.T, _ *rig, s *Stream, start func()) {
			start()
			awaitEvent(t, s, Started)
		},
		"mid-stream": func(t *testing.T, _ *rig, s *Stream, start func()) {
			start()
			awaitEvent(t, s, Chunk)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				cl := r.client()
				var h hold
				start := func() {
					r.worker(2, func(ctx context.Context, a *Attempt) (Outcome, error) {
						if name == "mid-stream" {
							if err := a.Chunk([]byte("data: x\n\n")); err != nil {
								return Outcome{}, err
							}
						}
						return h.run(ctx, a)
					})
				}
				s := r.submit(cl, newJob("{}"))
				leaveAt(t, r, s, start)
				s.Close()
				if _, err := s.Next(time.Second); !errors.Is(err, ErrClosed) {
					t.Fatalf("after close: %v", err)
				}
				r.empty()
				within(t, time.Second, "worker stopped", func() bool { return h.running.Load() == 0 })
				within(t, time.Second, "client forgot the job", func() bool { return cl.Active() == 0 })
				if h.ended.Load() > 0 {
					if u := r.usage(1)[0]; u.Status != StatusCancelled || u.Usage.PromptTokens != 7 {
						t.Fatalf("usage %+v", u)
					}
				}
			})
		})
	}
}

func awaitEvent(t *testing.T, s *Stream, kind EventKind) {
	t.Helper()
	for {
		e, err := s.Next(10 * time.Second)
		if err != nil {
			t.Fatalf("waiting for event %d: %v", kind, err)
		}
		if e.Kind == kind {
			return
		}
	}
}

// A cancellation that overtakes its job on the way to the worker is not forgotten.
func TestCancelOvertakesJob(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			if a.Job().Model == "cancelled" {
				t.Error("the cancelled job was run")
			}
			return Outcome{}, a.Answer([]byte("x"))
		})
		j := newJob("{}")
		j.Model = "cancelled"
		cancel := appendFrame([]byte{frameVersion}, &frame{job: j.ID, kind: ctlCancel})
		if err := r.conn.nc.Publish(r.conn.n.cancel(), cancel); err != nil {
			t.Fatal(err)
		}
		if err := r.conn.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if res := collect(r.submit(cl, newJob("{}")), 5*time.Second); res.text != "x" { // the worker has seen the message
			t.Fatalf("%+v", res)
		}
		r.submit(cl, j)
		r.empty()
	})
}

// A worker's death costs its jobs a pause of less than three seconds; text that a
// client has seen is not said again.
func TestWorkerDies(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var runs atomic.Int32
		first := r.worker(10, func(ctx context.Context, a *Attempt) (Outcome, error) {
			runs.Add(1)
			if a.Job().Stream {
				if err := a.Chunk([]byte("data: half\n\n")); err != nil {
					return Outcome{}, err
				}
			}
			<-ctx.Done()
			return Outcome{}, context.Cause(ctx)
		})
		var plain, streamed []*Stream
		for range 4 {
			j := newJob("{}")
			j.Stream = false
			plain = append(plain, r.submit(cl, j))
			s := r.submit(cl, newJob("{}"))
			awaitEvent(t, s, Chunk)
			streamed = append(streamed, s)
		}
		within(t, 5*time.Second, "all running", func() bool { return runs.Load() == 8 })
		r.worker(10, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte("whole")) })
		died := time.Now()
		first.conn.nc.Close() // as kill -9 does
		for _, s := range plain {
			if res := collect(s, 5*time.Second); res.text != "whole" || res.failed != nil {
				t.Fatalf("%+v", res)
			}
		}
		for _, s := range streamed {
			if res := collect(s, 5*time.Second); res.failed == nil || res.text != "" {
				t.Fatalf("%+v", res)
			}
		}
		if took := time.Since(died); took > 3*time.Second {
			t.Fatalf("recovered after %s", took)
		}
		r.empty()
	})
}

// A job that a worker was given and never announced is found too.
func TestWorkerDiesBeforeStart(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		dying := r.connect()
		control := dying.n.control("dying")
		inbox := dying.nc.NewInbox()
		got := make(chan *nats.Msg, 1)
		for subject, handle := range map[string]nats.MsgHandler{control: func(*nats.Msg) {}, inbox: func(m *nats.Msg) { got <- m }} {
			if _, err := dying.nc.Subscribe(subject, handle); err != nil {
				t.Fatal(err)
			}
		}
		if err := dying.nc.PublishRequest(dying.n.aliveWorker("dying"), control, nil); err != nil {
			t.Fatal(err)
		}
		s := r.submit(cl, newJob("{}"))
		within(t, 5*time.Second, "stored", s.Stored)
		next := dying.apiPrefix + "CONSUMER.MSG.NEXT." + dying.n.jobsStream(Interactive) + "." + dying.n.consumer("default")
		if err := dying.nc.PublishRequest(next, inbox, []byte("1")); err != nil {
			t.Fatal(err)
		}
		<-got
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte("x")) })
		dying.nc.Close()
		if res := collect(s, 8*time.Second); res.text != "x" {
			t.Fatalf("%+v", res)
		}
	})
}

func TestFrontendDies(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var h hold
		r.worker(3, h.run)
		for range 3 {
			r.submit(cl, newJob("{}"))
		}
		within(t, 5*time.Second, "all running", func() bool { return h.running.Load() == 3 })
		cl.conn.nc.Close()
		within(t, 15*time.Second, "cancelled", func() bool { return h.running.Load() == 0 })
		for _, u := range r.usage(3) {
			if u.Status != StatusCancelled {
				t.Fatalf("usage %+v", u)
			}
		}
		r.empty()
	})
}

// Messages between worker and frontend may be lost: what is missing is sent again.
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
				res := collect(s, 20*time.Second)
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

func TestStopHandsBackAndFinishes(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		release := make(chan struct{})
		var taken atomic.Int32
		k := r.worker(2, func(_ context.Context, a *Attempt) (Outcome, error) {
			taken.Add(1)
			<-release
			return Outcome{}, a.Answer([]byte("old"))
		})
		var streams []*Stream
		for range 6 {
			streams = append(streams, r.submit(cl, newJob("{}")))
		}
		within(t, 5*time.Second, "two running", func() bool { return taken.Load() == 2 })
		stopped := make(chan error, 1)
		go func() { stopped <- k.Stop(context.Background()) }()
		within(t, 5*time.Second, "stopping", func() bool {
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.slots.stopping
		})
		r.worker(10, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte("new")) })
		close(release)
		count := map[string]int{}
		for _, s := range streams {
			res := collect(s, 10*time.Second)
			count[res.text]++
		}
		if count["old"] != 2 || count["new"] != 4 {
			t.Fatalf("%v", count)
		}
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		r.empty()
	})
}

// When the grace period is over, an answer that nobody has seen goes to another
// worker; one that a client has seen ends with an error.
func TestStopCutsShort(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var h hold
		k := r.worker(2, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if a.Job().Stream {
				if err := a.Chunk([]byte("data: half\n\n")); err != nil {
					return Outcome{}, err
				}
			}
			return h.run(ctx, a)
		})
		j := newJob("{}")
		j.Stream = false
		plain, streamed := r.submit(cl, j), r.submit(cl, newJob("{}"))
		awaitEvent(t, streamed, Chunk)
		within(t, 5*time.Second, "both running", func() bool { return h.running.Load() == 2 })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := k.Stop(ctx); err == nil {
			t.Fatal("nothing was cut")
		}
		r.worker(2, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte("new")) })
		if res := collect(plain, 5*time.Second); res.text != "new" {
			t.Fatalf("%+v", res)
		}
		if res := collect(streamed, 5*time.Second); res.failed == nil {
			t.Fatalf("%+v", res)
		}
		r.empty()
	})
}

// A node that goes and comes back loses no accepted job and leaves no hole in a
// stream.
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
			within(t, 5*time.Second, "stored", w.Stored)
			waiting = append(waiting, w)
		}
		for i := range n.Nodes() {
			n.Kill(i)
			if n.Nodes() == 1 { // said while nobody could hear it
				next <- struct{}{}
			}
			n.Restart(t, i)
		}
		within(t, 30*time.Second, "connected again", func() bool { return cl.conn.Ready() == nil })
		close(next)
		for i, w := range append(waiting, s) {
			res := collect(w, 30*time.Second)
			if res.failed != nil || res.err != nil {
				t.Fatalf("job %d: %+v %v", i, res.failed, res.err)
			}
		}
	})
}

func TestStreamsEndWithTheClient(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		s := r.submit(cl, newJob("{}"))
		within(t, 5*time.Second, "stored", s.Stored)
		ended := make(chan error, 1)
		go func() {
			_, err := s.Next(time.Minute)
			ended <- err
		}()
		cl.Close()
		if err := <-ended; !errors.Is(err, ErrClosed) && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		r.empty()
	})
}
