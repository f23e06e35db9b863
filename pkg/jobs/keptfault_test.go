package jobs

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// A job whose deadline passes in the queue ends with a result, although its worker
// must look for one first.
func TestKeptJobExpiresInTheQueue(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := keptStreamJob()
		j.Stream, j.Keep.Repeat, j.Keep.Background, j.Class, j.Timeout = false, true, true, Background, time.Millisecond
		if err := cl.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int32
		r.worker(1, func(context.Context, *Attempt) (Outcome, error) { calls.Add(1); return Outcome{}, nil })
		got := r.resultOf(j)
		if got.Status != Errored || got.Error == nil || got.Error.Status != 408 && got.Error.Status != 504 || calls.Load() != 0 {
			t.Errorf("result %+v after %d calls", got, calls.Load())
		}
		r.empty()
	})
}

// A pause that a provider asked for does not outlive the job's deadline: what it said
// last is the job's answer.
func TestRetryEndsAtTheDeadline(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var calls atomic.Int32
		r.worker(1, func(context.Context, *Attempt) (Outcome, error) {
			calls.Add(1)
			return Outcome{}, protocol.ErrOverloaded(time.Hour)
		})
		for timeout := 2 * time.Second; ; timeout *= 4 { // a busy machine may take longer to hand the job out
			j := keptStreamJob()
			j.Class, j.Keep.Background, j.Timeout = Background, true, timeout
			if err := cl.SubmitBackground(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			got := r.resultOf(j)
			if calls.Load() == 0 && timeout < 8*time.Second {
				continue
			}
			if got.Status != Errored || got.Error.Status != 503 {
				t.Errorf("result %+v", got)
			}
			return
		}
	})
}

// Between two attempts a job is queued, whoever is asked.
func TestJobThatIsToBeTriedAgain(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := keptStreamJob()
		j.Class, j.Keep.Background, j.Timeout = Background, true, time.Hour
		r.worker(1, func(context.Context, *Attempt) (Outcome, error) {
			return Outcome{}, protocol.ErrOverloaded(time.Minute)
		})
		if err := cl.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		r.usage(1)
		within(t, patience, "queued", func() bool { return r.kept(cl, j).Status == KeptQueued })
		if got := r.list(cl, j.Tenant, KeptQuery{Status: KeptQueued}); len(got) != 1 {
			t.Errorf("listed as queued: %v", got)
		}
		if got := r.list(cl, j.Tenant, KeptQuery{Status: KeptRunning}); len(got) != 0 {
			t.Errorf("listed as running: %v", got)
		}
		h, err := r.conn.JobHistory(t.Context(), j.ID)
		if err != nil || h.State != StateQueued {
			t.Errorf("history %+v, %v", h, err)
		}
		all, _, err := r.conn.ListJobs(t.Context(), JobQuery{})
		if err != nil || len(all) != 1 || all[0].State != StateQueued || all[0].Attempts != 1 {
			t.Errorf("list %+v, %v", all, err)
		}
	})
}

// An attempt that gave up before its first event leaves no hole in the numbers.
func TestNumbersBeginWithOneAfterARetry(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := keptStreamJob()
		j.Class, j.Keep.Background = Background, true
		var calls atomic.Int32
		r.worker(1, func(ctx context.Context, a *Attempt) (Outcome, error) {
			switch calls.Add(1) {
			case 1:
				return Outcome{}, protocol.ErrOverloaded(time.Millisecond)
			case 2:
				return Outcome{}, ErrHandBack
			}
			return say(event("a", ""), event("", "stop"))(ctx, a)
		})
		if err := cl.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		want := "id: 1\n" + event("a", "") + "id: 2\n" + event("", "stop")
		if res := gather(r.follow(cl, j, 0), patience); res.text != want || res.failed != nil {
			t.Errorf("followed %+v", res)
		}
		if got := r.resultOf(j); got.Status != Completed || got.Events != 2 || got.Attempt != 3 {
			t.Errorf("result %+v", got)
		}
		if res := gather(r.follow(cl, j, 1), patience); !strings.HasSuffix(want, res.text) || strings.Count(res.text, "id:") != 1 || res.failed != nil {
			t.Errorf("resumed %+v", res)
		}
	})
}

// Whoever cancelled may die before webhooks are told: the worker that finds the
// result does it, even if it learns of it only at the end.
func TestBeatenAttemptTellsOfTheCancellation(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := keptStreamJob()
		j.Keep.Background = true
		group, name := j.resultName()
		r.worker(1, func(ctx context.Context, a *Attempt) (Outcome, error) {
			if _, err := r.conn.PutResult(ctx, j.Tenant, group, name, &Result{Status: Cancelled}, 0); err != nil {
				return Outcome{}, err
			}
			return say(event("a", ""), event("", "stop"))(ctx, a)
		})
		if err := cl.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		r.resultOf(j)
		r.empty()
		m, err := r.conn.leaderGet(t.Context(), r.conn.n.noticesStream(), question{LastFor: r.conn.n.notice(j.Tenant, "*")})
		if err != nil || !strings.Contains(string(m.Data), NoticeChatCancelled) {
			t.Errorf("no notice: %v", err)
		}
	})
}

// A request whose body could not be stored leaves alone what another one with its
// key stored.
func TestRefusedBodyLeavesTheOthers(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		first, second := r.client(), r.client()
		j := newJob(string(randomBody(3 << 20)))
		j.Keep = &Keep{Repeat: true}
		if err := first.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		late, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		if err := second.SubmitBackground(late, j); err == nil {
			t.Fatal("no time, and yet submitted")
		}
		k, err := first.Kept(t.Context(), j.Tenant, j.ID, KeptOptions{WithBody: true})
		if err != nil || string(k.Job.Body) != string(j.Body) {
			t.Fatalf("the first one's job: %v", err)
		}
	})
}

// A job that was refused leaves nothing behind that would run later, even if it is
// not known what was stored of it.
func TestRefusedJobLeavesNothing(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := newJob(string(randomBody(3 << 20)))
		j.Keep = &Keep{}
		if err := r.conn.js.DeleteStream(t.Context(), r.conn.n.jobsStream(Interactive)); err != nil {
			t.Fatal(err)
		}
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := cl.SubmitBackground(late, j); err == nil {
			t.Fatal("accepted")
		}
		within(t, patience, "nothing kept", func() bool {
			info, err := r.conn.subjects(t.Context(), r.conn.n.keptStream(), "", 0)
			return err == nil && info.State.Messages == 0
		})
	})
}

// So does one whose record could not be stored.
func TestRefusedRecordLeavesNoBody(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := newJob(string(randomBody(3 << 20)))
		j.Keep = &Keep{}
		s, err := r.conn.js.Stream(t.Context(), r.conn.n.keptStream())
		if err != nil {
			t.Fatal(err)
		}
		cfg := s.CachedInfo().Config
		cfg.MaxMsgs = int64(3<<20/r.conn.partSize() + 1) // the parts alone
		if _, err := r.conn.js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if err := cl.SubmitBackground(t.Context(), j); err == nil {
			t.Fatal("accepted")
		}
		within(t, patience, "nothing kept", func() bool {
			info, err := r.conn.subjects(t.Context(), r.conn.n.keptStream(), "", 0)
			return err == nil && info.State.Messages == 0
		})
	})
}

// A worker that is to stop does not wait for a queue that is away, although a result
// is not stored yet: the job runs again.
func TestStopWithoutQueue(t *testing.T) {
	natstest.EachOwn(t, func(t *testing.T, n *natstest.NATS) {
		r := newRig(t, n, Config{})
		cl := r.client()
		running, goOn, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
		k := r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			defer close(answered)
			close(running)
			<-goOn
			return Outcome{}, a.Answer([]byte(`{}`))
		})
		j := keptStreamJob()
		j.Stream, j.Keep.Background = false, true
		if err := cl.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		<-running
		for i := range n.Nodes() {
			n.Kill(i)
		}
		close(goOn)
		<-answered
		now, cancel := context.WithCancel(t.Context())
		cancel()
		stopped := make(chan struct{})
		go func() { _ = k.Stop(now); close(stopped) }()
		select {
		case <-stopped:
		case <-time.After(patience):
			t.Error("still running")
			n.RestartAll(t)
			<-stopped
		}
	})
}

// A request that the queue did not confirm in time was refused: it is not there later.
func TestUnconfirmedJobIsTakenBack(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := keptStreamJob()
		s := r.submit(cl, j)
		within(t, patience, "stored", s.Stored)
		s.mu.Lock()
		s.known, s.tries, s.published = false, maxPublish, time.Now().Add(-2*publishAgain)
		s.mu.Unlock()
		cl.tend(s, time.Now())
		if res := collect(s, patience); res.failed == nil || res.failed.Status != 503 {
			t.Fatalf("told %+v", res)
		}
		r.empty()
		within(t, patience, "no record", func() bool {
			_, err := r.conn.readRecord(t.Context(), j.Tenant, j.ID)
			return errors.Is(err, ErrNotKept)
		})
	})
}

// Where an attempt's numbers begin follows from what is stored of the one before.
func TestFirstEvent(t *testing.T) {
	for name, c := range map[string]struct {
		last    replayMessage
		attempt uint32
		aged    bool
		want    uint64
	}{
		"never ran":                  {replayMessage{}, 1, false, 1},
		"handed out, never ran":      {replayMessage{}, 3, false, 1},
		"what it said is gone":       {replayMessage{}, 2, true, attemptEvents + 1},
		"began":                      {replayMessage{kind: replayStarted, attempt: 1, first: 1}, 2, false, attemptEvents + 1},
		"spoke":                      {replayMessage{kind: replayChunk, attempt: 2, first: attemptEvents + 1, count: 9}, 3, false, 2*attemptEvents + 1},
		"gave up in silence":         {replayMessage{kind: replayGaveUp, attempt: 1, first: 1}, 2, false, 1},
		"the one before is not seen": {replayMessage{kind: replayGaveUp, attempt: 1, first: 1}, 3, false, 2*attemptEvents + 1},
	} {
		if got := firstEvent(c.last, c.attempt, c.aged); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// A request that is gone cannot be had by waiting.
func TestBodyGoneFailsAtOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := newJob(string(randomBody(3 << 20)))
		j.Class, j.Keep = Background, &Keep{Background: true}
		if err := cl.SubmitBackground(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		if err := r.conn.purge(t.Context(), r.conn.n.keptStream(), r.conn.n.keptPart(j.Tenant, j.ID, 1)); err != nil {
			t.Fatal(err)
		}
		r.worker(1, say(event("", "stop")))
		if got := r.resultOf(j); got.Status != Errored {
			t.Errorf("result %+v", got)
		}
	})
}

// Whoever joins a job that the queue refused is told the same as its submitter, soon,
// and nothing is kept of it.
func TestJoinRefusedJob(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl, other := r.client(), r.client()
		j := newJob("{}")
		j.Keep = &Keep{Hidden: true, Repeat: true}
		own, err := r.conn.putRecord(t.Context(), j, r.message(j))
		if err != nil || !own {
			t.Fatal(own, err)
		}
		var joined []*Replay
		for _, cl := range []*Client{cl, other} {
			joined = append(joined, r.follow(cl, j, 0))
		}
		cl.withdrawRecord(j.Tenant, j.ID) // as its submitter does
		for _, p := range joined {
			e, err := p.Next(3 * time.Second)
			if err != nil || e.Kind != Failed || e.Failed().Status != 503 || e.Failed().Code != "server_is_overloaded" || p.Stored() {
				t.Errorf("%+v, %v", e, err)
			}
		}
		if _, err := cl.Kept(t.Context(), j.Tenant, j.ID, KeptOptions{Hidden: true}); !errors.Is(err, ErrNotKept) {
			t.Errorf("kept: %v", err)
		}
	})
}

// The job of a frontend that died between record and queue is queued as soon as
// somebody asks; one whose frontend lives is left to it.
func TestSubmitterDiesBeforeTheQueue(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		died, cl := r.client(), r.client()
		j := newJob("{}")
		j.Keep = &Keep{}
		payload, _, err := died.encode(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		if own, err := r.conn.putRecord(t.Context(), j, payload); err != nil || !own {
			t.Fatal(own, err)
		}
		if k := r.kept(cl, j); k.Status != KeptQueued || r.waiting(Interactive) != 0 {
			t.Fatalf("its frontend lives: %+v, %d in the queue", k, r.waiting(Interactive))
		}
		died.conn.nc.Close()
		began := time.Now()
		r.worker(1, say(event("x", ""), event("", "stop")))
		p := r.follow(cl, j, 0)
		if _, err := p.Next(patience); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("answered after %s", took)
		}
	})
}
