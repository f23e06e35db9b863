package jobs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// historyOf returns the job's history once it is in the state that is wanted: usage
// is stored a moment after a client has its answer.
func (r *rig) historyOf(id ID, want JobState) *JobHistory {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		h, err := r.conn.JobHistory(r.t.Context(), id)
		if err == nil && h.State == want {
			return h
		}
		if err != nil && !errors.Is(err, ErrUnknownJob) || time.Now().After(deadline) {
			if h != nil && h.Result != nil {
				r.t.Logf("result: %+v", h.Result)
			}
			r.t.Fatalf("want %s, got %+v, %v", want, h, err)
		}
	}
}

const oneChunk = `data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"echo","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}` + "\n\n"

// What became of a job can be told in every state, of plain ones too.
func TestJobHistory(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		waiting := newJob("{}")
		s := r.submit(cl, waiting)
		if h := r.historyOf(waiting.ID, StateQueued); h.Model != "echo" || h.Tenant != "acme" || h.Deadline.IsZero() || h.Queued.IsZero() || h.Kept {
			t.Errorf("queued: %+v", h)
		}
		began, goOn := make(chan struct{}, 1), make(chan struct{})
		r.workerWith(ConsumeConfig{Slots: 1, WorkerID: "w1"}, func(_ context.Context, a *Attempt) (Outcome, error) {
			began <- struct{}{}
			<-goOn
			o := Outcome{FinishReason: "stop", Usage: protocol.Usage{TotalTokens: 7}}
			return o, a.Chunk([]byte(oneChunk))
		})
		<-began
		h := r.historyOf(waiting.ID, StateRunning)
		if now := h.Running; now == nil || now.Worker != "w1" || now.Number != 1 || time.Since(now.Began).Abs() > 20*time.Second {
			t.Errorf("running: %+v", h.Running)
		}
		close(goOn)
		if got := collect(s, patience); got.err != nil || got.failed != nil {
			t.Fatalf("%+v", got)
		}
		h = r.historyOf(waiting.ID, StateFinished)
		if len(h.Attempts) != 1 || h.Attempts[0].Worker != "w1" || h.Attempts[0].Usage.TotalTokens != 7 || h.Class != Interactive {
			t.Errorf("finished: %+v", h)
		}
		if _, err := r.conn.JobHistory(t.Context(), NewID()); !errors.Is(err, ErrUnknownJob) {
			t.Errorf("a job that never was: %v", err)
		}
	})
}

// A failed kept job runs again under its id with all of its time; others do not.
func TestRetryJob(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		fail := true // changed only while no job is there
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			if fail {
				return Outcome{}, protocol.ErrInvalid("messages", "bad", "No.")
			}
			return Outcome{FinishReason: "stop"}, a.Chunk([]byte(oneChunk))
		})
		kept := newJob("{}")
		kept.Keep = &Keep{}
		collect(r.submit(cl, kept), patience)
		before := r.historyOf(kept.ID, StateFailed)
		if before.Result == nil || before.Result.Error.Code != "bad" || !before.Kept {
			t.Fatalf("failed: %+v", before)
		}
		plain := newJob("{}")
		collect(r.submit(cl, plain), patience)
		r.historyOf(plain.ID, StateFailed)
		if err := r.conn.RetryJob(t.Context(), plain.ID); !errors.Is(err, ErrNotKept) {
			t.Errorf("retry of a plain job: %v", err)
		}
		fail = false
		if err := r.conn.RetryJob(t.Context(), kept.ID); err != nil {
			t.Fatal(err)
		}
		r.usage(3) // a result is there before the usage is
		after := r.historyOf(kept.ID, StateFinished)
		if len(after.Attempts) != 2 || after.Attempts[1].Attempt != 2 || after.Retried != 1 || after.Result.Status != Completed {
			t.Errorf("retried: %+v", after)
		}
		if err := r.conn.RetryJob(t.Context(), kept.ID); !errors.Is(err, ErrNotFailed) {
			t.Errorf("retry of a finished job: %v", err)
		}
		fail = true
		hidden := newJob("{}") // kept for its idempotency key alone
		hidden.Keep = &Keep{Hidden: true, Repeat: true}
		collect(r.submit(cl, hidden), patience)
		r.historyOf(hidden.ID, StateFailed)
		fail = false
		if err := r.conn.RetryJob(t.Context(), hidden.ID); err != nil {
			t.Fatal(err)
		}
		r.historyOf(hidden.ID, StateFinished)
		if err := cl.DeleteKept(t.Context(), "acme", kept.ID); err != nil {
			t.Fatal(err)
		}
		if err := r.conn.RetryJob(t.Context(), kept.ID); err == nil {
			t.Error("a deleted job came back")
		}
		if err := r.conn.RetryJob(t.Context(), NewID()); !errors.Is(err, ErrUnknownJob) {
			t.Errorf("retry of no job: %v", err)
		}
	})
}

// A line of a batch is the batch's: an operator is told so.
func TestLineIsTheBatchs(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		line := newJob("{}")
		line.Class, line.Keep = Batch, &Keep{Batch: "batch_1", Line: 7}
		r.submit(cl, line)
		if h := r.historyOf(line.ID, StateQueued); h.Batch != "batch_1" || h.Line != 7 {
			t.Errorf("%+v", h)
		}
		for name, err := range map[string]error{"cancel": cl.CancelJob(t.Context(), line.ID), "retry": r.conn.RetryJob(t.Context(), line.ID)} {
			if !errors.Is(err, ErrBatchLine) || !strings.Contains(err.Error(), "line 7 of batch_1") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// An operator can end any job; its client is told who it was.
func TestCancelJob(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		owner, operator := r.client(), r.client()
		queued := newJob("{}")
		s := r.submit(owner, queued)
		r.historyOf(queued.ID, StateQueued)
		if err := operator.CancelJob(t.Context(), queued.ID); err != nil {
			t.Fatal(err)
		}
		if got := collect(s, patience); got.failed == nil || got.failed.Code != "cancelled" {
			t.Errorf("queued: %+v", got)
		}
		hidden := newJob("{}")
		hidden.Keep = &Keep{Hidden: true}
		s = r.submit(owner, hidden)
		r.historyOf(hidden.ID, StateQueued)
		if err := operator.CancelJob(t.Context(), hidden.ID); err != nil {
			t.Fatal(err)
		}
		if got := collect(s, patience); got.failed == nil || got.failed.Code != "cancelled" {
			t.Errorf("hidden: %+v", got)
		}
		r.historyOf(hidden.ID, StateCancelled)
		stopped := make(chan error, 1)
		began := make(chan struct{}, 1)
		r.workerWith(ConsumeConfig{Slots: 1, WorkerID: "w1"}, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if err := a.Chunk([]byte(oneChunk)); err != nil {
				return Outcome{}, err
			}
			began <- struct{}{}
			<-ctx.Done()
			stopped <- context.Cause(ctx)
			return Outcome{}, ctx.Err()
		})
		running := newJob("{}")
		s = r.submit(owner, running)
		<-began
		if err := operator.CancelJob(t.Context(), running.ID); err != nil {
			t.Fatal(err)
		}
		if got := collect(s, patience); got.failed == nil || got.failed.Code != "cancelled" {
			t.Errorf("running: %+v", got)
		}
		if err := <-stopped; !errors.Is(err, ErrCancelled) {
			t.Errorf("the worker stopped for %v", err)
		}
		kept := newJob("{}")
		kept.Keep = &Keep{Background: true}
		if err := owner.SubmitBackground(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		<-began
		if h := r.historyOf(kept.ID, StateRunning); !h.Kept || h.Running == nil || h.Running.Number != 1 || h.Running.Worker != "w1" {
			t.Errorf("kept and running: %+v", h)
		}
		if err := operator.CancelJob(t.Context(), kept.ID); err != nil {
			t.Fatal(err)
		}
		<-stopped
		if h := r.historyOf(kept.ID, StateCancelled); h.Result == nil {
			t.Errorf("kept: %+v", h)
		}
		if err := operator.CancelJob(t.Context(), NewID()); !errors.Is(err, ErrUnknownJob) {
			t.Errorf("no job: %v", err)
		}
		states := map[ID]JobState{}
		list, _, err := r.conn.ListJobs(t.Context(), JobQuery{})
		for _, j := range list {
			states[j.ID] = j.State
		}
		if err != nil || states[running.ID] != StateCancelled || states[kept.ID] != StateCancelled {
			t.Errorf("list: %+v, %v", list, err)
		}
	})
}

// A list holds every job once, newest first, by what was asked for.
func TestListJobs(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var want []ID
		for i := range 5 {
			j := newJob("{}")
			j.Class = Background // no worker: they wait
			if i == 2 {
				j.Model, j.Tenant = "other", "rival"
			}
			if i%2 == 0 {
				j.Keep = &Keep{}
			}
			s := r.submit(cl, j)
			for !s.Stored() {
				if ev, err := s.Next(10 * time.Millisecond); err != nil && !errors.Is(err, ErrSilent) {
					t.Fatal(ev, err)
				}
			}
			want = append([]ID{j.ID}, want...)
		}
		ids := func(q JobQuery) (got []ID, more bool) {
			list, more, err := r.conn.ListJobs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range list {
				if j.State != StateQueued || j.Class != "background" {
					t.Errorf("%+v", j)
				}
				got = append(got, j.ID)
			}
			return got, more
		}
		if got, more := ids(JobQuery{}); !slices.Equal(got, want) || more {
			t.Errorf("all: %v, want %v", got, want)
		}
		if got, more := ids(JobQuery{Limit: 2}); !slices.Equal(got, want[:2]) || !more {
			t.Errorf("two: %v", got)
		}
		for _, q := range []JobQuery{{Tenant: "rival"}, {Model: "other"}} {
			if got, _ := ids(q); !slices.Equal(got, want[2:3]) {
				t.Errorf("%+v: %v", q, got)
			}
		}
		if got, _ := ids(JobQuery{State: StateFailed}); len(got) != 0 {
			t.Errorf("failed: %v", got)
		}
	})
}
