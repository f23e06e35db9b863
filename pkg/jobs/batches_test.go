package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

func newBatch(tenant string) *StoredBatch {
	now := time.Now()
	return &StoredBatch{Tenant: tenant, Key: "k", Object: protocol.Batch{
		ID: NewBatchID(), Endpoint: protocol.ChatEndpoint, InputFileID: NewFileID(), CompletionWindow: "24h",
		Status: protocol.BatchValidating, CreatedAt: now.Unix(), ExpiresAt: now.Add(24 * time.Hour).Unix(),
		Metadata: map[string]string{"a": "b"},
	}}
}

func mustCreate(t *testing.T, c *Conn, b *StoredBatch) *StoredBatch {
	t.Helper()
	if err := c.CreateBatch(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBatchIsStored(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		b := mustCreate(t, r.conn, newBatch("acme"))
		got, err := r.connect().Batch(ctx, "acme", b.Object.ID)
		if err != nil || got.Object.Metadata["a"] != "b" || got.Revision == 0 || got.Key != "k" {
			t.Fatalf("%+v, %v", got, err)
		}
		again := newBatch("acme")
		again.Object.ID, again.Key = b.Object.ID, "other"
		if err := r.conn.CreateBatch(ctx, again); err != nil {
			t.Errorf("create again: %v", err)
		}
		if got, _ := r.conn.Batch(ctx, "acme", b.Object.ID); got.Key != "k" {
			t.Error("the second creation replaced the first")
		}
		for _, id := range []string{b.Object.ID + "x", NewBatchID(), "", "batch_*", ">", strings.ToUpper(b.Object.ID)} {
			if _, err := r.conn.Batch(ctx, "acme", id); !errors.Is(err, ErrNoBatch) {
				t.Errorf("batch %q: %v", id, err)
			}
		}
		for _, tenant := range []string{"other", "*", "", "a.b"} {
			if _, err := r.conn.Batch(ctx, tenant, b.Object.ID); !errors.Is(err, ErrNoBatch) {
				t.Errorf("of tenant %q: %v", tenant, err)
			}
			if _, err := r.conn.CancelBatch(ctx, tenant, b.Object.ID); !errors.Is(err, ErrNoBatch) {
				t.Errorf("cancel as tenant %q: %v", tenant, err)
			}
		}
	})
}

// Of writers that read the same state only one writes.
func TestBatchIsWrittenByOne(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		b := mustCreate(t, r.conn, newBatch("acme"))
		const writers = 6
		errs := make([]error, writers)
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				mine := *b
				mine.Fence = uint64(i + 1)
				errs[i] = r.conn.WriteBatch(t.Context(), &mine)
			})
		}
		wg.Wait()
		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
				if got, _ := r.conn.Batch(t.Context(), "acme", b.Object.ID); got.Fence != uint64(i+1) {
					t.Errorf("writer %d won, and fence %d is stored", i+1, got.Fence)
				}
			case !errors.Is(err, ErrBatchMoved):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d writers won", won)
		}
	})
}

func TestBatchList(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		var ids []string
		for range 7 {
			ids = append(ids, mustCreate(t, r.conn, newBatch("acme")).Object.ID)
		}
		mustCreate(t, r.conn, newBatch("other"))
		slices.Reverse(ids)
		var got []string
		after := ""
		for {
			page, more, err := r.conn.ListBatches(t.Context(), "acme", after, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range page {
				got = append(got, b.Object.ID)
			}
			if !more {
				break
			}
			after = got[len(got)-1]
		}
		if !slices.Equal(got, ids) {
			t.Errorf("%v, want %v", got, ids)
		}
	})
}

func TestBatchCancel(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		b := mustCreate(t, r.conn, newBatch("acme"))
		told := make(chan struct{}, 8)
		stop, err := r.conn.WatchBatch(b.Object.ID, func() { told <- struct{}{} })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		if err := r.conn.flush(ctx); err != nil {
			t.Fatal(err)
		}
		got, err := r.connect().CancelBatch(ctx, "acme", b.Object.ID)
		if err != nil || got.Object.Status != protocol.BatchCancelling {
			t.Fatalf("%+v, %v", got, err)
		}
		select {
		case <-told:
		case <-time.After(patience):
			t.Error("nobody was told")
		}
		got.Object.Status = protocol.BatchCompleted
		if err := r.conn.WriteBatch(ctx, got); err != nil {
			t.Fatal(err)
		}
		_, err = r.conn.CancelBatch(ctx, "acme", b.Object.ID)
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Status != 409 || !e.NoRetry {
			t.Errorf("%v", err)
		}
	})
}

func mustTake(t *testing.T, c *Conn) *Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	run, err := c.TakeRun(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// One holds the lease as long as it lives; another gets it when it dies, or at once
// when it hands it over, and nobody once the batch has ended.
func TestRunLease(t *testing.T) {
	eachRigWith(t, Config{AckWait: time.Second}, func(t *testing.T, r *rig) {
		b := mustCreate(t, r.conn, newBatch("acme"))
		first := r.connect()
		run := mustTake(t, first)
		if run.Batch != b.Object.ID || run.Tenant != "acme" {
			t.Fatalf("%+v", run)
		}
		idle, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		second := r.connect()
		if other, err := second.TakeRun(idle); err == nil {
			t.Fatalf("two hold the lease: %+v", other)
		}
		began := time.Now()
		first.Close()
		run = mustTake(t, second)
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("taken over after %s", took)
		}
		run.HandOver(0)
		began = time.Now()
		run = mustTake(t, r.conn)
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("handed over after %s", took)
		}
		if err := run.Done(t.Context()); err != nil {
			t.Fatal(err)
		}
		idle, cancel = context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if other, err := second.TakeRun(idle); err == nil {
			t.Errorf("an ended batch is driven: %+v", other)
		}
	})
}

func TestRunWithoutABatch(t *testing.T) {
	eachRigWith(t, Config{AckWait: time.Second}, func(t *testing.T, r *rig) {
		b := newBatch("acme")
		if err := r.conn.publishRun(t.Context(), "acme", b.Object.ID); err != nil {
			t.Fatal(err)
		}
		run := mustTake(t, r.conn)
		if err := r.conn.Orphan(t.Context(), run); err != nil { // young: it comes again
			t.Fatal(err)
		}
		run = mustTake(t, r.conn)
		run.Since = run.Since.Add(-time.Hour)
		mustCreate(t, r.conn, b) // just before the old run is dropped
		if err := r.conn.Orphan(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		if run = mustTake(t, r.conn); run.Batch != b.Object.ID {
			t.Errorf("%+v", run)
		}
		run.Abandon()
	})
}

func TestLineResults(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ctx, batch := t.Context(), NewBatchID()
		large := strings.Repeat("x", 2<<20)
		const lines = 300
		for i := 1; i <= lines; i++ {
			res := &Result{Status: Completed, Body: fmt.Appendf(nil, `{"n":%d}`, i), Outcome: Outcome{Usage: protocol.Usage{TotalTokens: 2}}}
			switch {
			case i == 7:
				res.Body = []byte(large)
			case i%10 == 0:
				res = &Result{Status: Errored, Error: protocol.ErrInvalid("", "", "no")}
			}
			if _, err := r.conn.PutResult(ctx, "acme", batch, strconv.Itoa(i), res, 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.conn.PutResult(ctx, "acme", NewBatchID(), "1", &Result{Status: Completed}, 0); err != nil {
			t.Fatal(err)
		}
		var next uint64
		within(t, patience, "all are read", func() bool { // a replica may be a moment behind
			seen := map[int]bool{}
			var err error
			next, err = r.connect().LineResults(ctx, "acme", batch, 0, true, func(l LineResult) error {
				if seen[l.Line] {
					t.Errorf("line %d comes twice", l.Line)
				}
				seen[l.Line] = true
				if (l.Status == Errored) != (l.Line%10 == 0) || l.Line == 7 && string(l.Body) != large || l.Status == Completed && l.Outcome.Usage.TotalTokens != 2 {
					t.Errorf("line %d: %+v", l.Line, l.Result)
				}
				return nil
			})
			return err == nil && len(seen) == lines
		})
		stop := errors.New("stop")
		if _, err := r.conn.LineResults(ctx, "acme", batch, 0, false, func(LineResult) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%v", err)
		}
		if _, err := r.conn.PutResult(ctx, "acme", batch, "301", &Result{Status: Cancelled}, 0); err != nil {
			t.Fatal(err)
		}
		within(t, patience, "the new one alone is read", func() bool {
			var got []int
			_, err := r.conn.LineResults(ctx, "acme", batch, next, false, func(l LineResult) error { got = append(got, l.Line); return nil })
			return err == nil && slices.Equal(got, []int{301})
		})
		if err := r.conn.PurgeLineResults(ctx, "acme", batch); err != nil {
			t.Fatal(err)
		}
		within(t, patience, "nothing is left", func() bool {
			left := 0
			_, err := r.conn.LineResults(ctx, "acme", batch, 0, false, func(LineResult) error { left++; return nil })
			return err == nil && left == 0
		})
	})
}

// Lines are found in the queue whoever submitted them, and go with their batch.
func TestRevokeLines(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl, batch, other := r.client(), NewBatchID(), NewBatchID()
		submit := func(batch string, line int) {
			id, err := LineID(batch, line, 0)
			if err != nil {
				t.Fatal(err)
			}
			j := newJob(`{}`)
			j.ID, j.Class, j.Stream, j.Keep = id, Batch, false, &Keep{Batch: batch, Line: line}
			r.submit(cl, j)
		}
		for line := range 5 {
			submit(batch, line+1)
		}
		submit(other, 1)
		count := func(batch string) int {
			queued, err := r.conn.LinesQueued(t.Context(), "acme", batch)
			if err != nil {
				t.Fatal(err)
			}
			return len(queued)
		}
		within(t, patience, "all are queued", func() bool { return count(batch) >= 5 && count(other) >= 1 })
		if err := r.client().RevokeLines(t.Context(), "acme", batch); err != nil {
			t.Fatal(err)
		}
		within(t, patience, "the batch's are gone, the other's is not", func() bool {
			id, _ := LineID(other, 1, 0)
			queued, err := r.conn.LinesQueued(t.Context(), "acme", other)
			_, there := queued[id]
			return err == nil && there && len(queued) == 1
		})
	})
}

func TestLineIDs(t *testing.T) {
	batch := NewBatchID()
	id, err := parseBatchID(batch)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[ID]bool{}
	for line := range 100 {
		for try := range 3 {
			l, err := LineID(batch, line, try)
			again, _ := LineID(batch, line, try)
			if err != nil || seen[l] || l != again || !l.Time().Equal(id.Time()) {
				t.Fatalf("line %d, try %d: %s, %v", line, try, l, err)
			}
			if parsed, err := ParseID(l.String()); err != nil || parsed != l {
				t.Fatal(err)
			}
			seen[l] = true
		}
	}
	if _, err := LineID("batch_1", 1, 0); err == nil {
		t.Error("a bad id was taken")
	}
}

// The body of a large line is removed when the line has ended: its batch has it.
func TestLargeLineLeavesNothing(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) { return Outcome{}, a.Answer(a.Job().Body[:10]) })
		cl, batch := r.client(), NewBatchID()
		j := newJob(`{"x":"` + strings.Repeat("x", 3<<20) + `"}`)
		j.Class, j.Stream, j.Keep = Batch, false, &Keep{Batch: batch, Line: 1}
		s := r.submit(cl, j)
		for e, err := s.Next(patience); e.Kind != Done; e, err = s.Next(patience) {
			if err != nil || e.Kind == Failed {
				t.Fatal(e.Kind, err)
			}
		}
		s.Close()
		within(t, patience, "the body is gone", func() bool {
			left := 0
			err := r.conn.eachSubject(t.Context(), r.conn.n.bodiesStream(), r.conn.n.bodiesFilter(), func(string) { left++ })
			return err == nil && left == 0
		})
	})
}

func TestRunsAreRestored(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		lost, ended := mustCreate(t, r.conn, newBatch("acme")), newBatch("other")
		ended.Object.Status = protocol.BatchCompleted
		mustCreate(t, r.conn, ended)
		if err := r.conn.purge(ctx, r.conn.n.runsStream(), r.conn.n.runsFilter()); err != nil {
			t.Fatal(err)
		}
		if n, err := r.conn.RestoreRuns(ctx); n != 1 || err != nil {
			t.Fatalf("%d restored, %v", n, err)
		}
		if n, err := r.conn.RestoreRuns(ctx); n != 0 || err != nil {
			t.Fatalf("%d restored again, %v", n, err)
		}
		run := mustTake(t, r.conn)
		if run.Batch != lost.Object.ID || run.Tenant != "acme" {
			t.Errorf("%+v", run)
		}
		run.Abandon()
	})
}
