package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

func TestStreamedJob(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
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
		res := collect(s, patience)
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

func TestLargeAnswerSlowReader(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
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
		within(t, patience, "stored", s.Stored)
		var got int
		for i := 0; ; {
			e, err := s.Next(patience)
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
		if res := collect(s, patience); res.text != "seen" || res.failed != nil {
			t.Fatalf("%+v", res)
		}
		s.Close()
		within(t, patience, "body deleted", func() bool {
			st, err := r.conn.js.Stream(t.Context(), r.conn.n.bodiesStream())
			return err == nil && st.CachedInfo().State.Msgs == 0
		})
	})
}

func TestFailedJob(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			if strings.Contains(string(a.Job().Body), "panic") {
				panic("boom")
			}
			return Outcome{}, fmt.Errorf("call: %w", protocol.ErrRateLimit("slow down", 3*time.Second))
		})
		res := collect(r.submit(cl, newJob("{}")), patience)
		if res.failed == nil || res.failed.Status != 429 || res.failed.RetryAfter != 3*time.Second {
			t.Fatalf("%+v", res)
		}
		res = collect(r.submit(cl, newJob(`{"panic":true}`)), patience)
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

func TestPublishedTwice(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := newJob("{}")
		s := r.submit(cl, j)
		payload, _, err := cl.encode(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		within(t, patience, "stored", s.Stored)
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
		if res := collect(s, patience); res.text != "x" || res.failed != nil {
			t.Fatalf("%+v", res)
		}
		r.empty()
		if runs.Load() != 1 {
			t.Fatalf("%d runs", runs.Load())
		}
	})
}
