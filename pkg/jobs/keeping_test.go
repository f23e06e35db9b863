package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// keptStreamJob is a streamed job that is kept.
func keptStreamJob() *Job {
	j := newJob(`{"model":"echo"}`)
	j.Keep = &Keep{Metadata: map[string]string{"a": "b"}}
	return j
}

// event is one chunk of the profile, as a worker emits it.
func event(content, finish string) string {
	if finish != "" {
		return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":%q}]}\n\n", finish)
	}
	return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"finish_reason\":null}]}\n\n", content)
}

// resultOf waits for the result of a kept job.
func (r *rig) resultOf(j *Job) *Result {
	r.t.Helper()
	var res *Result
	group, name := j.resultName()
	within(r.t, patience, "result stored", func() bool {
		var err error
		if res, err = r.conn.Result(r.t.Context(), j.Tenant, group, name); err != nil && !errors.Is(err, ErrNotKept) {
			r.t.Fatal(err)
		}
		return err == nil
	})
	return res
}

// replayed reads the stored messages of a job.
func (r *rig) replayed(id ID) (all []replayMessage) {
	r.t.Helper()
	for seq := uint64(1); ; {
		m, err := r.conn.leaderGet(r.t.Context(), r.conn.n.replayStream(), question{Seq: seq, NextFor: r.conn.n.replay(id)})
		if errors.Is(err, errNotStored) {
			return all
		}
		if err != nil {
			r.t.Fatal(err)
		}
		msg, err := decodeReplay(m.Data)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, msg)
		seq = m.Seq + 1
	}
}

func TestKeptStreamIsNumberedAndStored(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.worker(1, say(event("Hel", ""), event("lo", "")+event("", "stop")))
		j := keptStreamJob()
		res := collect(r.submit(cl, j), patience)
		want := "id: 1\n" + event("Hel", "") + "id: 2\n" + event("lo", "") + "id: 3\n" + event("", "stop")
		if res.err != nil || res.failed != nil || res.text != want {
			t.Fatalf("got %+v", res)
		}
		got := r.resultOf(j)
		if got.Status != Completed || got.Events != 3 || got.Worker == "" || got.Attempt != 1 || got.Started.IsZero() || got.Ended.Before(got.Started) {
			t.Errorf("result %+v", got)
		}
		if body := string(got.Body); !strings.Contains(body, `"Hello"`) || !strings.Contains(body, `"total_tokens":2`) || !strings.Contains(body, "chatcmpl-"+j.ID.String()) {
			t.Errorf("completion %s", body)
		}
		var stored string
		within(t, patience, "end stored", func() bool {
			all := r.replayed(j.ID)
			var chunks []byte
			for _, m := range all {
				if m.kind == replayChunk {
					chunks = append(chunks, m.data...)
				}
			}
			stored = string(chunks)
			return all[0].kind == replayStarted && all[len(all)-1].kind == replayDone && all[len(all)-1].first == 4
		})
		if stored != want {
			t.Errorf("stored %q", stored)
		}
		r.empty()
		rec, err := r.conn.readRecord(t.Context(), "acme", j.ID)
		if err != nil || string(rec.job.Body) != `{"model":"echo"}` || rec.job.Keep.Metadata["a"] != "b" {
			t.Errorf("record %+v, %v", rec, err)
		}
	})
}

func TestKeptJobOutlivesItsClient(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		for _, leave := range []func(*Client, *Stream){
			func(_ *Client, s *Stream) { s.Close() },
			func(cl *Client, _ *Stream) { cl.Close() },
		} {
			cl := r.clientWith(ClientConfig{})
			begun, goOn := make(chan struct{}), make(chan struct{})
			k := r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
				if err := a.Chunk([]byte(event("a", ""))); err != nil {
					return Outcome{}, err
				}
				close(begun)
				<-goOn
				// More than the window: nobody confirms it any more.
				return Outcome{}, errors.Join(a.Chunk([]byte(event(strings.Repeat("b", 2*window), ""))), a.Chunk([]byte(event("", "stop"))))
			})
			j := keptStreamJob()
			s := r.submit(cl, j)
			<-begun
			leave(cl, s)
			close(goOn)
			if got := r.resultOf(j); got.Status != Completed || got.Events != 3 || len(got.Body) < 2*window {
				t.Fatalf("result %d, %d events, %d bytes", got.Status, got.Events, len(got.Body))
			}
			r.empty()
			_ = k.Stop(t.Context())
		}
	})
}

func TestBackgroundJobWaitsForItsProvider(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var calls atomic.Int32
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			if calls.Add(1) == 1 {
				return Outcome{}, protocol.ErrOverloaded(time.Millisecond)
			}
			return Outcome{}, a.Answer([]byte(`{"id":"x"}`))
		})
		j := keptStreamJob()
		j.Class, j.Stream, j.Keep.Background = Background, false, true
		if err := cl.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		if got := r.resultOf(j); got.Status != Completed || string(got.Body) != `{"id":"x"}` || got.Attempt != 2 || calls.Load() != 2 {
			t.Fatalf("result %+v after %d calls", got, calls.Load())
		}
		r.empty()
		notice := r.conn.n.notice(j.Tenant, "*")
		if m, err := r.conn.leaderGet(t.Context(), r.conn.n.noticesStream(), question{LastFor: notice}); err != nil || !strings.Contains(string(m.Data), NoticeChatCompleted) {
			t.Errorf("no notice: %v", err)
		}
	})
}

func TestKeptFailureIsStored(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		r.worker(1, func(context.Context, *Attempt) (Outcome, error) { return Outcome{}, protocol.ErrInvalid("n", "", "no") })
		j := keptStreamJob()
		res := collect(r.submit(cl, j), patience)
		got := r.resultOf(j)
		if res.failed == nil || got.Status != Errored || got.Error == nil || got.Error.Param != "n" || got.Error.Status != 400 {
			t.Fatalf("told %v, stored %+v", res.failed, got)
		}
	})
}

// The first result stands: a job that is submitted again after its end is not run
// again, and whoever asks gets what is stored.
func TestKeptJobRunsOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var calls atomic.Int32
		r.worker(2, func(_ context.Context, a *Attempt) (Outcome, error) {
			return Outcome{}, a.Answer(fmt.Appendf(nil, `{"call":%d}`, calls.Add(1)))
		})
		j := keptStreamJob()
		j.Stream, j.Keep.Repeat = false, true
		if res := collect(r.submit(cl, j), patience); res.text != `{"call":1}` {
			t.Fatalf("got %+v", res)
		}
		r.empty()
		if _, err := cl.Submit(t.Context(), j); !errors.Is(err, ErrSubmitted) {
			t.Fatalf("submitted again: %v", err)
		}
		if res := gather(r.follow(cl, j, 0), patience); res.text != `{"call":1}` {
			t.Fatalf("followed: %+v", res)
		}
		if err := r.conn.resubmit(t.Context(), j.Tenant, j.ID); err != nil {
			t.Fatal(err)
		}
		r.empty()
		if calls.Load() != 1 {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

func TestRevokedJobEnds(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var h hold
		r.worker(1, h.run)
		running, queued := keptStreamJob(), keptStreamJob()
		s := r.submit(cl, running)
		within(t, patience, "running", func() bool { return h.running.Load() == 1 })
		if err := cl.SubmitBackground(t.Context(), queued); err != nil {
			t.Fatal(err)
		}
		for _, j := range []*Job{queued, running} {
			group, name := j.resultName()
			if won, err := r.conn.PutResult(t.Context(), j.Tenant, group, name, &Result{Status: Cancelled}, 0); !won || err != nil {
				t.Fatal(won, err)
			}
			if err := cl.Revoke(j); err != nil {
				t.Fatal(err)
			}
		}
		if res := collect(s, patience); res.failed == nil || res.failed.Code != "cancelled" {
			t.Errorf("told %+v", res)
		}
		r.empty()
		if h.ended.Load() != 1 {
			t.Errorf("%d ran", h.ended.Load())
		}
	})
}

// A worker that stops hands a kept stream on although text was seen: its reader is
// told, the next attempt's events go on counting.
func TestKeptStreamIsHandedOn(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		said := make(chan struct{})
		first := r.worker(1, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if err := a.Chunk([]byte(event("a", ""))); err != nil {
				return Outcome{}, err
			}
			close(said)
			<-ctx.Done()
			return Outcome{}, context.Cause(ctx)
		})
		j := keptStreamJob()
		s := r.submit(cl, j)
		<-said
		within(t, patience, "text stored", func() bool { return len(r.replayed(j.ID)) == 2 })
		if e, err := s.Next(patience); err != nil || e.Kind != Started {
			t.Fatal(e, err)
		}
		if e, err := s.Next(patience); err != nil || e.Kind != Chunk {
			t.Fatal(e, err)
		}
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		_ = first.Stop(stopped)
		if res := collect(s, patience); res.failed == nil {
			t.Fatalf("told %+v", res)
		}
		r.worker(1, say(event("b", ""), event("", "stop")))
		got := r.resultOf(j)
		if got.Status != Completed || got.Attempt < 2 || got.Events != uint64(got.Attempt-1)*attemptEvents+2 || strings.Contains(string(got.Body), `"ab"`) {
			t.Fatalf("result %+v: %s", got, got.Body)
		}
		r.empty()
	})
}

func TestResultOfSeveralParts(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		r := newRig(t, n, Config{})
		body := randomBody(3 << 20)
		won, err := r.conn.PutResult(t.Context(), "acme", "g", "1", &Result{Status: Completed, Body: body}, 0)
		if !won || err != nil {
			t.Fatal(won, err)
		}
		won, err = r.conn.PutResult(t.Context(), "acme", "g", "1", &Result{Status: Completed, Body: randomBody(2 << 20)}, 0)
		if won || err != nil {
			t.Fatal(won, err)
		}
		got, err := r.conn.Result(t.Context(), "acme", "g", "1")
		if err != nil || string(got.Body) != string(body) {
			t.Fatalf("%v, %d bytes", err, len(got.Body))
		}
		if _, err := r.conn.Result(t.Context(), "acme", "g", "2"); !errors.Is(err, ErrNotKept) {
			t.Fatal(err)
		}
	})
}
