package jobs

import (
	"errors"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/protocol"
)

// recordedJob returns a job that is kept, made so long ago.
func recordedJob(ago time.Duration) *Job {
	j := newJob(`{"model":"echo"}`)
	j.ID, j.Keep = idAt(time.Now().Add(-ago)), &Keep{Metadata: map[string]string{"made": "as"}}
	return j
}

// idAt returns a fresh id as of another time.
func idAt(at time.Time) ID {
	id := NewID()
	ms := uint64(at.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}

// put publishes to a stream and waits until it is stored.
func (r *rig) put(subject string, data []byte) {
	r.t.Helper()
	if _, err := r.conn.js.Publish(r.t.Context(), subject, data, jetstream.WithRetryAttempts(20)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) message(j *Job) []byte {
	r.t.Helper()
	data, err := encodeJob(nil, "front", j, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

// record stores only the record of a job.
func (r *rig) record(j *Job) {
	r.t.Helper()
	r.put(r.conn.n.recordOf(j), r.message(j))
}

// enqueue puts only the job into the queue.
func (r *rig) enqueue(j *Job) {
	r.t.Helper()
	r.put(r.conn.n.job(j.Class, j.Pool, j.Tenant, j.ID), r.message(j))
}

// conclude stores the result of a job.
func (r *rig) conclude(j *Job, res *Result) {
	r.t.Helper()
	group, name := j.resultName()
	if won, err := r.conn.PutResult(r.t.Context(), j.Tenant, group, name, res, 0); !won || err != nil {
		r.t.Fatalf("result: %t, %v", won, err)
	}
}

// events stores replay messages of a job.
func (r *rig) events(j *Job, messages ...replayMessage) {
	r.t.Helper()
	for _, m := range messages {
		r.put(r.conn.n.replay(j.ID), appendReplay(nil, &m))
	}
}

func (r *rig) kept(cl *Client, j *Job) *Kept {
	r.t.Helper()
	k, err := cl.Kept(r.t.Context(), j.Tenant, j.ID, KeptOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return k
}

// A kept job is read in each state in which it can be.
func TestKept(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := recordedJob(0)
		r.record(j)
		r.enqueue(j)
		k := r.kept(cl, j)
		if k.Status != KeptQueued || k.Job.Model != "echo" || k.Job.Body != nil || k.Metadata["made"] != "as" || !k.Started.IsZero() {
			t.Fatalf("queued: %+v", k)
		}
		if k.Place == nil || k.Place.Position != 1 {
			t.Fatalf("queued: place %+v", k.Place)
		}
		k, err := cl.Kept(t.Context(), j.Tenant, j.ID, KeptOptions{WithBody: true})
		if err != nil || string(k.Job.Body) != string(j.Body) {
			t.Fatalf("with body: %+v, %v", k, err)
		}
		r.events(j, replayMessage{kind: replayStarted, attempt: 1, first: 1})
		if k := r.kept(cl, j); k.Status != KeptRunning || time.Since(k.Started).Abs() > time.Minute || k.Place != nil {
			t.Fatalf("running: %+v", k)
		}
		r.conclude(j, &Result{Status: Completed, Body: []byte("{}"), Ended: time.Now()})
		if k := r.kept(cl, j); k.Status != KeptCompleted || string(k.Result.Body) != "{}" {
			t.Fatalf("completed: %+v", k)
		}
		failed := recordedJob(0)
		r.record(failed)
		r.conclude(failed, &Result{Status: Errored, Error: protocol.ErrWorkerLost()})
		if k := r.kept(cl, failed); k.Status != KeptFailed || k.Result.Error == nil {
			t.Fatalf("failed: %+v", k)
		}
	})
}

// Unknown, foreign and hidden jobs cannot be told apart.
func TestKeptIsTheOwners(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j, hidden := recordedJob(0), recordedJob(0)
		hidden.Keep.Hidden = true
		for _, j := range []*Job{j, hidden} {
			r.record(j)
			r.enqueue(j)
		}
		for what, of := range map[string]struct {
			tenant string
			id     ID
		}{"unknown": {j.Tenant, NewID()}, "foreign": {"umbrella", j.ID}, "hidden": {j.Tenant, hidden.ID}, "no tenant": {"a.b", j.ID}} {
			_, err := cl.Kept(t.Context(), of.tenant, of.id, KeptOptions{})
			_, err2 := cl.CancelKept(t.Context(), of.tenant, of.id)
			_, err3 := cl.SetMetadata(t.Context(), of.tenant, of.id, nil)
			_, err4 := cl.AwaitKept(t.Context(), of.tenant, of.id, KeptOptions{})
			for i, err := range []error{err, err2, err3, err4, cl.DeleteKept(t.Context(), of.tenant, of.id)} {
				if !errors.Is(err, ErrNotKept) {
					t.Errorf("%s, call %d: %v", what, i, err)
				}
			}
		}
		k, err := cl.Kept(t.Context(), hidden.Tenant, hidden.ID, KeptOptions{Hidden: true})
		if err != nil || k.Status != KeptQueued {
			t.Errorf("hidden, asked for: %+v, %v", k, err)
		}
	})
}

func TestPlace(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var waiting []*Job
		for range 5 {
			j := recordedJob(0)
			j.Class = Background
			waiting = append(waiting, j)
			r.record(j)
			r.enqueue(j)
		}
		// A copy that lags may be asked, so the place may take a moment to be right.
		for i, j := range waiting {
			within(t, patience, "the place is known", func() bool {
				p := r.kept(cl, j).Place
				return p != nil && p.Position == int64(i+1)
			})
		}
		if got := waitFor(10, 2.5); got != 4*time.Second {
			t.Errorf("10 jobs at 2.5 a second take %s", got)
		}
		if a, b, c := waitFor(1, 0), waitFor(1, 1e-9), waitFor(1, 1000); a != 0 || b != 0 || c != time.Second {
			t.Errorf("waits %s, %s, %s", a, b, c)
		}
	})
}

// A job that the queue lost is queued again, once, with the rest of its time.
func TestKeptIsNeverLost(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := recordedJob(0)
		r.record(j)
		lives, err := r.conn.nc.Subscribe(r.conn.n.wanted("front"), func(m *nats.Msg) { _ = m.Respond(nil) })
		if err == nil {
			err = r.conn.flush(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if k := r.kept(cl, j); k.Status != KeptQueued {
			t.Fatalf("being submitted: %+v", k)
		}
		if n := r.waiting(Interactive); n != 0 {
			t.Fatal("submitted for whoever is submitting it")
		}
		rec, err := r.conn.readRecord(t.Context(), j.Tenant, j.ID)
		if err != nil {
			t.Fatal(err)
		}
		rec.stored = rec.stored.Add(-30 * time.Second) // as if it had been written then
		defer func() { _ = lives.Unsubscribe() }()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				k := &Kept{Job: rec.job}
				if err := cl.locate(t.Context(), k, rec); err != nil || k.Status != KeptQueued {
					t.Errorf("lost: %+v, %v", k, err)
				}
			})
		}
		wg.Wait()
		m, err := r.conn.leaderGet(t.Context(), r.conn.n.jobsStream(Interactive), question{LastFor: r.conn.n.job(j.Class, j.Pool, j.Tenant, j.ID)})
		if err != nil {
			t.Fatal(err)
		}
		again, frontend, _, err := decodeJob(m.Data)
		if err != nil || !again.Keep.Repeat || frontend != "front" || string(again.Body) != string(j.Body) {
			t.Fatalf("queued again: %+v, %v", again, err)
		}
		if again.Timeout > 31*time.Second || again.Timeout < 20*time.Second {
			t.Errorf("queued again with %s to go", again.Timeout)
		}
	})
}

// A job that nobody ran before its deadline fails, and leaves the queue.
func TestKeptPastItsDeadline(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := recordedJob(0)
		r.record(j)
		r.enqueue(j)
		rec, err := r.conn.readRecord(t.Context(), j.Tenant, j.ID)
		if err != nil {
			t.Fatal(err)
		}
		rec.stored = rec.stored.Add(-j.Timeout - 2*overdue)
		k := &Kept{Job: rec.job}
		if err := cl.locate(t.Context(), k, rec); err != nil || k.Status != KeptFailed || k.Result.Error.Status != http.StatusGatewayTimeout {
			t.Fatalf("%+v, %v", k, err)
		}
		if k := r.kept(cl, j); k.Status != KeptFailed {
			t.Fatalf("read again: %+v", k)
		}
		r.empty()
	})
}

func TestSetMetadata(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := recordedJob(0)
		r.record(j)
		r.enqueue(j)
		for _, want := range []map[string]string{{"a": "1", "b": "2"}, {"b": "3"}, {}, {"made": "again"}} {
			k, err := cl.SetMetadata(t.Context(), j.Tenant, j.ID, want)
			if err != nil || !maps.Equal(k.Metadata, want) {
				t.Fatalf("set %v: %+v, %v", want, k, err)
			}
		}
		// Of many at once one stands, and all succeed.
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := cl.SetMetadata(t.Context(), j.Tenant, j.ID, map[string]string{"n": "x"}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if k := r.kept(cl, j); k.Metadata["n"] != "x" {
			t.Errorf("%v", k.Metadata)
		}
	})
}

func TestDeleteKept(t *testing.T) {
	for name, ended := range map[string]bool{"ended": true, "queued": false} {
		t.Run(name, func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				cl := r.client()
				j := recordedJob(0)
				r.record(j)
				r.events(j, replayMessage{kind: replayStarted, attempt: 1, first: 1})
				if ended {
					r.conclude(j, &Result{Status: Completed, Body: randomBody(2 << 20)})
				} else {
					r.enqueue(j)
				}
				if _, err := cl.SetMetadata(t.Context(), j.Tenant, j.ID, map[string]string{"a": "1"}); err != nil {
					t.Fatal(err)
				}
				var mu sync.Mutex
				var wg sync.WaitGroup
				deleted := 0
				for range 3 {
					wg.Go(func() {
						switch err := cl.DeleteKept(t.Context(), j.Tenant, j.ID); {
						case err == nil:
							mu.Lock()
							deleted++
							mu.Unlock()
						case !errors.Is(err, ErrNotKept):
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if deleted != 1 {
					t.Errorf("deleted %d times", deleted)
				}
				if err := cl.DeleteKept(t.Context(), j.Tenant, j.ID); !errors.Is(err, ErrNotKept) {
					t.Errorf("deleted again: %v", err)
				}
				if _, err := cl.Kept(t.Context(), j.Tenant, j.ID, KeptOptions{}); !errors.Is(err, ErrNotKept) {
					t.Errorf("read: %v", err)
				}
				group, nameOf := j.resultName()
				if won, err := r.conn.PutResult(t.Context(), j.Tenant, group, nameOf, &Result{Status: Completed}, 0); won || err != nil {
					t.Errorf("a late worker's result: %t, %v", won, err)
				}
				r.empty()
				for _, left := range []struct {
					stream, subject string
					messages        uint64
				}{
					{r.conn.n.keptStream(), r.conn.n.keptAll(j.Tenant, j.ID), 0},
					{r.conn.n.replayStream(), r.conn.n.replay(j.ID), 0},
					{r.conn.n.resultsStream(), r.conn.n.resultsFilter(), 1}, // the tombstone
				} {
					s, err := r.conn.js.Stream(t.Context(), left.stream)
					if err != nil {
						t.Fatal(err)
					}
					info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(left.subject))
					if err != nil || uint64(len(info.State.Subjects)) != left.messages {
						t.Errorf("%s: %v left, %v", left.stream, info.State.Subjects, err)
					}
				}
			})
		})
	}
}

func TestAwaitKept(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := recordedJob(0)
		r.record(j)
		r.enqueue(j)
		subs := cl.conn.nc.NumSubscriptions()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				began := time.Now()
				k, err := cl.AwaitKept(t.Context(), j.Tenant, j.ID, KeptOptions{})
				if err != nil || k.Status != KeptCompleted {
					t.Errorf("%+v, %v", k, err)
				}
				if d := time.Since(began); d > awaitAtMost {
					t.Errorf("after %s", d)
				}
			})
		}
		within(t, patience, "everybody waits", func() bool { return cl.conn.nc.NumSubscriptions() == subs+3 })
		r.conclude(j, &Result{Status: Completed, Body: []byte("{}")})
		wg.Wait()
	})
}

func TestPlainAck(t *testing.T) {
	for answer, want := range map[string]uint64{
		`{"stream":"osiris_results", "seq":7}`:                  7,
		`{"stream":"osiris_results","seq":7,"domain":"hub"}`:    7,
		`{"stream":"osiris_results", "seq":7,"duplicate":true}`: 7,
		``:                                    0,
		`{"stream":"osiris_results", "seq":}`: 0,
		`{"stream":"", "seq":7}`:              0,
		`{"stream":"osiris_results", "seq":7`: 0,
		`{"stream":"osiris_results","seq":18446744073709551616}`:                                       0,
		`{"error":{"code":400,"err_code":10071,"description":"x"},"stream":"osiris_results","seq":0}`:  0,
		`{"stream":"osiris_results", "seq":0,"error":{"code":400,"err_code":10071,"description":"x"}}`: 0,
		`{"stream":"osiris_results","error":{"code":503,"err_code":10077,"description":"y"},"seq":0}`:  0,
	} {
		if seq, ok := plainAck([]byte(answer)); seq != want || ok != (want != 0) {
			t.Errorf("plainAck(%s) = %d, %t, want %d", answer, seq, ok, want)
		}
	}
}
