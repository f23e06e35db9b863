package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

func TestStreamedJob(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.worker(2, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if string(a.Job().Body) != `{"q":1}` || a.Job().Tenant != "acme" || a.Number() != 1 {
				return Outcome{}, fmt.Errorf("job %+v", a.Job())
			}
			if err := a.Opened(Timing{Worker: time.Millisecond, Model: time.Second}); err != nil {
				return Outcome{}, err
			}
			return say("data: a\n\n", "data: b\n\n")(ctx, a)
		})
		s := r.submit(cl, newJob(`{"q":1}`))
		res := collect(s, 5*time.Second)
		if want := []EventKind{Started, Opened, Chunk, Chunk, Done}; !slices.Equal(res.kinds, want) || res.err != nil {
			t.Fatalf("events %v (%v), want %v", res.kinds, res.err, want)
		}
		if res.text != "data: a\n\ndata: b\n\n" || res.done.FinishReason != "stop" || res.done.Usage.TotalTokens != 2 {
			t.Fatalf("%+v", res)
		}
		if _, err := s.Next(time.Second); !errors.Is(err, io.EOF) {
			t.Fatalf("after the end: %v", err)
		}
		if !s.Stored() {
			t.Fatal("answered and not stored")
		}
		u := r.usage(1)[0]
		if u.Job != s.ID().String() || u.Status != StatusFinished || u.Usage.TotalTokens != 2 || u.Tenant != "acme" || u.Key != "k1" {
			t.Fatalf("usage %+v", u)
		}
		r.empty()
		s.Close()
		if cl.Active() != 0 {
			t.Fatal("the client still knows the job")
		}
	})
}

// An answer far beyond every buffer arrives whole, however slowly it is read, and
// memory between model and reader stays bounded.
func TestLargeAnswerSlowReader(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		line := append(bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16), '\n')
		var emitted atomic.Int64
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			for i := range 8 {
				line := line[:len(line)-i]
				if err := a.Chunk(line); err != nil {
					return Outcome{}, err
				}
				emitted.Add(int64(len(line)))
			}
			return Outcome{}, nil
		})
		s := r.submit(cl, newJob("{}"))
		within(t, 5*time.Second, "stored", s.Stored)
		var got int
		for i := 0; ; {
			e, err := s.Next(10 * time.Second)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind != Chunk {
				continue
			}
			if !bytes.Equal(e.Data, line[:len(line)-i]) {
				t.Fatalf("line %d: %d bytes", i, len(e.Data))
			}
			i++
			got += len(e.Data)
			if ahead := emitted.Load() - int64(got); ahead > int64(len(line))+2*window {
				t.Fatalf("the worker is %d bytes ahead", ahead)
			}
		}
		if int64(got) != emitted.Load() {
			t.Fatalf("%d of %d bytes", got, emitted.Load())
		}
	})
}

func TestLargeBodyByReference(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		body := bytes.Repeat([]byte("image "), 20<<20/6)
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			if !bytes.Equal(a.Job().Body, body) {
				return Outcome{}, fmt.Errorf("body of %d bytes", len(a.Job().Body))
			}
			return Outcome{}, a.Answer([]byte("seen"))
		})
		j := newJob("")
		j.Body = body
		s := r.submit(cl, j)
		if res := collect(s, 20*time.Second); res.text != "seen" || res.failed != nil {
			t.Fatalf("%+v", res)
		}
		s.Close()
		within(t, 5*time.Second, "body deleted", func() bool {
			st, err := r.conn.js.Stream(t.Context(), r.conn.n.bodiesStream())
			return err == nil && st.CachedInfo().State.Msgs == 0
		})
	})
}

func TestNeverMoreJobsThanSlots(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var most atomic.Int32
		for range 2 {
			var running atomic.Int32
			r.worker(3, func(_ context.Context, a *Attempt) (Outcome, error) {
				n := running.Add(1)
				defer running.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				return Outcome{}, a.Answer([]byte("x"))
			})
		}
		var wg sync.WaitGroup
		for range 300 {
			s := r.submit(cl, newJob("{}"))
			wg.Go(func() {
				if res := collect(s, 20*time.Second); res.text != "x" {
					t.Errorf("%+v", res)
				}
			})
		}
		wg.Wait()
		if most.Load() > 3 {
			t.Fatalf("%d jobs ran on three slots", most.Load())
		}
		r.empty()
	})
}

// Interactive jobs run beside as many batch jobs as there are slots not reserved,
// and with one slot both classes get their turn.
func TestClasses(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var batch hold
		r.workerWith(ConsumeConfig{Slots: 4, Reserved: 2}, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if a.Job().Class == Interactive {
				return Outcome{}, a.Answer([]byte("quick"))
			}
			return batch.run(ctx, a)
		})
		for i := range 6 {
			j := newJob("{}")
			j.Class = []Class{Batch, Background}[i%2]
			r.submit(cl, j)
		}
		within(t, 5*time.Second, "batch jobs in the unreserved slots", func() bool { return batch.running.Load() == 2 })
		for range 20 {
			if res := collect(r.submit(cl, newJob("{}")), 5*time.Second); res.text != "quick" {
				t.Fatalf("%+v", res)
			}
		}
		if n := batch.running.Load(); n != 2 {
			t.Fatalf("%d batch jobs run", n)
		}
	})
}

func TestOneSlotServesAllClasses(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer([]byte("x")) })
		var wg sync.WaitGroup
		for i := range 30 {
			j := newJob("{}")
			j.Class = Class(i % 3)
			s := r.submit(cl, j)
			wg.Go(func() {
				if res := collect(s, 30*time.Second); res.text != "x" {
					t.Errorf("class %s: %+v", j.Class, res)
				}
			})
		}
		wg.Wait()
		r.empty()
	})
}

func TestQueueFull(t *testing.T) {
	eachRigWith(t, Config{MaxQueued: 5}, func(t *testing.T, r *rig) {
		cl := r.client()
		var streams []*Stream
		for range 5 {
			s := r.submit(cl, newJob("{}"))
			within(t, 5*time.Second, "stored", s.Stored)
			streams = append(streams, s)
		}
		res := collect(r.submit(cl, newJob("{}")), 5*time.Second)
		if res.failed == nil || res.failed.Status != 503 || res.failed.RetryAfter <= 0 {
			t.Fatalf("%+v", res)
		}
		for _, s := range streams { // accepted means kept
			if _, err := s.Next(0); !errors.Is(err, ErrSilent) {
				t.Fatalf("accepted job: %v", err)
			}
		}
		r.worker(5, say("x"))
		for _, s := range streams {
			if res := collect(s, 5*time.Second); res.text != "x" {
				t.Fatalf("%+v", res)
			}
		}
	})
}

func TestDepthIsAdmission(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.clientWith(ClientConfig{MaxWaiting: 3})
		var refused *protocol.Error
		within(t, 10*time.Second, "refusal", func() bool {
			s, err := cl.Submit(t.Context(), newJob("{}"))
			if err == nil {
				t.Cleanup(s.Close)
				return false
			}
			return errors.As(err, &refused)
		})
		if refused.Status != 503 || refused.RetryAfter <= 0 {
			t.Fatalf("%+v", refused)
		}
	})
}

func TestDeadlineInTheQueue(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := newJob("{}")
		j.Timeout = 300 * time.Millisecond
		s := r.submit(cl, j)
		within(t, 5*time.Second, "stored", s.Stored)
		<-time.After(400 * time.Millisecond)
		r.worker(1, func(context.Context, *Attempt) (Outcome, error) {
			t.Error("a job past its deadline was started")
			return Outcome{}, nil
		})
		if res := collect(s, 5*time.Second); res.failed == nil || res.failed.Status != 504 {
			t.Fatalf("%+v", res)
		}
		r.empty()
	})
}

func TestDeadlineWhileRunning(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var h hold
		r.worker(1, h.run)
		j := newJob("{}")
		j.Timeout = 500 * time.Millisecond
		if res := collect(r.submit(cl, j), 5*time.Second); res.failed == nil || res.failed.Status != 504 {
			t.Fatalf("%+v", res)
		}
		if u := r.usage(1)[0]; u.Status != StatusFailed || u.Usage.PromptTokens != 7 {
			t.Fatalf("usage %+v", u)
		}
		r.empty()
	})
}

func TestFailedJob(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			if strings.Contains(string(a.Job().Body), "panic") {
				panic("boom")
			}
			return Outcome{}, fmt.Errorf("call: %w", protocol.ErrRateLimit("slow down", 3*time.Second))
		})
		res := collect(r.submit(cl, newJob("{}")), 5*time.Second)
		if res.failed == nil || res.failed.Status != 429 || res.failed.RetryAfter != 3*time.Second {
			t.Fatalf("%+v", res)
		}
		res = collect(r.submit(cl, newJob(`{"panic":true}`)), 5*time.Second)
		if res.failed == nil || res.failed.Status != 500 || strings.Contains(res.failed.Message, "boom") {
			t.Fatalf("%+v", res)
		}
		for _, u := range r.usage(2) {
			if u.Status != StatusFailed {
				t.Fatalf("usage %+v", u)
			}
		}
		r.empty()
	})
}

// One message per subject: the same job published again while it waits or runs is
// one job.
func TestPublishedTwice(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		s := r.submit(cl, newJob("{}"))
		payload := s.payload
		within(t, 5*time.Second, "stored", s.Stored)
		s.mu.Lock()
		s.payload = payload
		s.mu.Unlock()
		if err := cl.publish(s); err != nil {
			t.Fatal(err)
		}
		var runs atomic.Int32
		r.worker(2, func(ctx context.Context, a *Attempt) (Outcome, error) {
			runs.Add(1)
			return say("x")(ctx, a)
		})
		if res := collect(s, 5*time.Second); res.text != "x" || res.failed != nil {
			t.Fatalf("%+v", res)
		}
		r.empty()
		if runs.Load() != 1 {
			t.Fatalf("%d runs", runs.Load())
		}
	})
}
