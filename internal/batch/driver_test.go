package batch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

func TestBatchRuns(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		r.worker(8)
		r.driver(nil)
		input := "\uFEFF" + words("hi", "bad", "busy") + "\r\n \n" + line("late", "hi")
		id := r.create(input, nil)
		b := r.end(id, patience)
		if b.Status != protocol.BatchCompleted || b.Model != "m" {
			t.Errorf("%s", b.AppendJSON(nil))
		}
		fates := r.check(b, strings.TrimPrefix(input, "\uFEFF"))
		if want := map[string]string{"c0": "ok", "c1": "400", "c2": "ok", "late": "ok"}; !maps.Equal(fates, want) {
			t.Errorf("fates %v", fates)
		}
		if b.InProgressAt == 0 || b.FinalizingAt < b.InProgressAt || b.CompletedAt < b.FinalizingAt ||
			b.ExpiredAt+b.CancelledAt+b.CancellingAt+b.FailedAt != 0 {
			t.Errorf("times %s", b.AppendJSON(nil))
		}
		r.nothingLeft(id)
	})
}

// nothingLeft checks that an ended batch keeps nothing but itself and its files.
func (r *rig) nothingLeft(id string) {
	r.t.Helper()
	within(r.t, patience, "results are purged", func() bool {
		left := 0
		_, err := r.conn.LineResults(r.t.Context(), r.key.Tenant, id, 0, false, func(jobs.LineResult) error { left++; return nil })
		return err == nil && left == 0
	})
}

func within(t testing.TB, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !is(); sleep(t.Context(), 20*time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func TestBatchFails(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		r.driver(nil)
		for name, tt := range map[string]struct {
			input string
			codes []string
		}{
			"no file":      {"", []string{"invalid_request"}},
			"blank":        {"\n \n", []string{"empty_file"}},
			"bad lines":    {"{\n" + line("a", "hi") + "\n" + line("a", "hi"), []string{"invalid_json_line", "duplicate_custom_id"}},
			"other models": {lineOf("a", "m", "x") + "\n" + lineOf("b", "m2", "x") + "\n" + lineOf("c", "m3", "x"), []string{"mismatched_model", "model_not_found"}},
		} {
			id := r.create(tt.input, func(b *jobs.StoredBatch) {
				if tt.input == "" {
					b.Object.InputFileID = jobs.NewFileID()
				}
			})
			b := r.end(id, patience)
			var codes []string
			for _, f := range b.Errors {
				codes = append(codes, f.Code)
			}
			if b.Status != protocol.BatchFailed || b.FailedAt == 0 || !slices.Equal(codes, tt.codes) || b.Counts.Total != 0 || b.OutputFileID+b.ErrorFileID != "" {
				t.Errorf("%s: %s", name, b.AppendJSON(nil))
			}
		}
	})
}

func TestBatchMixesModelsIfAllowed(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	r.cfg.MixedModels = true
	r.worker(4)
	r.driver(nil)
	input := lineOf("a", "m", "hi") + "\n" + lineOf("b", "m2", "hi") + "\n" + lineOf("c", "m", "hi")
	id := r.create(input, nil)
	r.await(id, patience, "two done", func(b *protocol.Batch) bool { return b.Counts.Completed == 2 })
	r.workerOf("other", 1, answer) // the other pool had no worker
	r.check(r.end(id, patience), input)
}

func TestBatchEveryLineFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	r.worker(4)
	r.driver(nil)
	input := words("bad", "bad")
	b := r.end(r.create(input, nil), patience)
	if r.check(b, input); b.Status != protocol.BatchCompleted || b.OutputFileID != "" || b.ErrorFileID == "" {
		t.Errorf("%s", b.AppendJSON(nil))
	}
	input = words("hi")
	b = r.end(r.create(input, nil), patience)
	if r.check(b, input); b.ErrorFileID != "" || b.OutputFileID == "" {
		t.Errorf("%s", b.AppendJSON(nil))
	}
}

// A line whose request is no good has an answer of its own, as chat gives it.
func TestBatchLineFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	r.worker(4)
	r.driver(nil)
	input := line("good", "hi") + "\n" + strings.Replace(line("empty", "hi"), `[{"role":"user","content":"hi"}]`, "[]", 1) + "\n" +
		strings.Replace(line("odd model", "hi"), `"model":"m"`, `"model":7`, 1)
	b := r.end(r.create(input, nil), patience)
	if fates := r.check(b, input); fates["good"] != "ok" || fates["empty"] != "400" || fates["odd model"] != "400" {
		t.Errorf("%v", fates)
	}
}

func TestBatchExpires(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		r.worker(4)
		r.driver(nil)
		input := words("hi", "slow", "slow", "hi", "bad")
		id := r.create(input, nil)
		r.await(id, patience, "three done", func(b *protocol.Batch) bool { return b.Counts.Completed+b.Counts.Failed == 3 })
		r.closeWindow(id)
		b := r.end(id, patience)
		if b.Status != protocol.BatchExpired || b.ExpiredAt == 0 || b.FinalizingAt != 0 {
			t.Errorf("%s", b.AppendJSON(nil))
		}
		if fates := r.check(b, input); fates["c1"] != "batch_expired" || fates["c2"] != "batch_expired" || fates["c0"] != "ok" {
			t.Errorf("%v", fates)
		}
		r.nothingLeft(id)
	})
}

// closeWindow ends the window of a batch that runs.
func (r *rig) closeWindow(id string) {
	r.t.Helper()
	for {
		b := r.get(id)
		b.Object.ExpiresAt = b.Object.CreatedAt
		err := r.conn.WriteBatch(r.t.Context(), b)
		if err == nil {
			return
		}
		if !errors.Is(err, jobs.ErrBatchMoved) {
			r.t.Fatal(err)
		}
	}
}

// A line that was tried until the window closed says what was the matter.
func TestBatchExpiredLineSaysWhy(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	failed := make(chan struct{}, 64)
	r.workerOf("default", 1, func(context.Context, *jobs.Attempt) (jobs.Outcome, error) {
		failed <- struct{}{}
		return jobs.Outcome{}, protocol.ErrUpstream("The model is on fire. " + strings.Repeat("ä", 200))
	})
	id := r.create(words("hi"), nil)
	r.driver(nil)
	<-failed
	<-failed // so what became of the first is known
	r.closeWindow(id)
	b := r.end(id, patience)
	lines := r.lines(b.ErrorFileID)
	if len(lines) != 1 || lines[0].Error == nil || lines[0].Error.Code != "batch_expired" ||
		!strings.Contains(lines[0].Error.Message, " window expired. Its last attempt failed: The model is on fire. ä") {
		t.Errorf("%s: %+v", b.AppendJSON(nil), lines)
	}
}

func TestBatchExpiresBeforeItIsValidated(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	input := words("hi", "hi")
	id := r.create(input, func(b *jobs.StoredBatch) { b.Object.ExpiresAt = b.Object.CreatedAt - 10 })
	r.driver(nil)
	b := r.end(id, patience)
	if fates := r.check(b, input); b.Status != protocol.BatchExpired || fates["c1"] != "batch_expired" {
		t.Errorf("%s", b.AppendJSON(nil))
	}
}

func TestBatchIsCancelled(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		r.cfg.Drain = 300 * time.Millisecond
		r.worker(5)
		r.driver(nil)
		input := words("hi", "bad", "slow", "slow", "slow")
		id := r.create(input, nil)
		r.await(id, patience, "two done", func(b *protocol.Batch) bool { return b.Counts.Completed+b.Counts.Failed == 2 })
		b, err := r.conn.CancelBatch(t.Context(), r.key.Tenant, id)
		if err != nil || b.Object.Status != protocol.BatchCancelling || b.Object.CancellingAt == 0 {
			t.Fatalf("%+v, %v", b, err)
		}
		if again, err := r.conn.CancelBatch(t.Context(), r.key.Tenant, id); err != nil || again.Object.CancellingAt != b.Object.CancellingAt {
			t.Errorf("again: %+v, %v", again, err)
		}
		o := r.end(id, patience)
		fates := r.check(o, input)
		want := map[string]string{"c0": "ok", "c1": "400", "c2": "batch_cancelled", "c3": "batch_cancelled", "c4": "batch_cancelled"}
		if o.Status != protocol.BatchCancelled || o.CancelledAt == 0 || !maps.Equal(fates, want) {
			t.Errorf("%s, %v", o.AppendJSON(nil), fates)
		}
		if _, err := r.conn.CancelBatch(t.Context(), r.key.Tenant, id); err != nil {
			t.Errorf("cancel a cancelled batch: %v", err)
		}
		r.nothingLeft(id)
	})
}

// Running lines of a cancelled batch may end.
func TestBatchCancelLetsRunningLinesEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	running, release := make(chan struct{}, 8), make(chan struct{})
	h := blocking(running, release)
	r.workerOf("default", 1, h)
	r.driver(nil)
	input := repeat("hi", 5)
	id := r.create(input, nil)
	<-running
	if _, err := r.conn.CancelBatch(t.Context(), r.key.Tenant, id); err != nil {
		t.Fatal(err)
	}
	close(release)
	b := r.end(id, patience)
	if r.check(b, input); b.Status != protocol.BatchCancelled || b.Counts.Completed == 0 || b.Counts.Failed == 0 {
		t.Errorf("%s", b.AppendJSON(nil))
	}
}

func TestBatchIsCancelledWithoutAnyDriver(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	id := r.create(words("hi"), nil)
	if _, err := r.conn.CancelBatch(t.Context(), r.key.Tenant, id); err != nil {
		t.Fatal(err)
	}
	r.driver(nil)
	b := r.end(id, patience)
	if b.Status != protocol.BatchCancelled || b.Counts != (protocol.BatchCounts{}) || b.OutputFileID+b.ErrorFileID != "" {
		t.Errorf("%s", b.AppendJSON(nil))
	}
}

// Without a worker a batch can be cancelled, and expires, all the same.
func TestBatchWithoutAnyWorker(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	r.driver(nil)
	input := repeat("hi", 300)
	id := r.create(input, nil)
	other := r.create(input, func(b *jobs.StoredBatch) { b.Object.ExpiresAt = b.Object.CreatedAt + 2 })
	r.await(id, patience, "running", func(b *protocol.Batch) bool { return b.Status == protocol.BatchInProgress })
	if _, err := r.conn.CancelBatch(t.Context(), r.key.Tenant, id); err != nil {
		t.Fatal(err)
	}
	b := r.end(id, patience)
	if fates := r.check(b, input); b.Status != protocol.BatchCancelled || fates["c299"] != "batch_cancelled" {
		t.Errorf("%s", b.AppendJSON(nil))
	}
	b = r.end(other, patience)
	if fates := r.check(b, input); b.Status != protocol.BatchExpired || fates["c7"] != "batch_expired" {
		t.Errorf("%s", b.AppendJSON(nil))
	}
}

func TestBatchOfARevokedKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	input := repeat("hi", 20)
	id := r.create(input, nil)
	if _, err := r.conn.RevokeKey(t.Context(), r.key.ID); err != nil {
		t.Fatal(err)
	}
	r.worker(2)
	r.driver(nil)
	b := r.end(id, patience)
	if fates := r.check(b, input); b.Status != protocol.BatchCompleted || fates["c3"] != "401" {
		t.Errorf("%s, %v", b.AppendJSON(nil), fates)
	}
}

func TestBatchOfAKeyWithoutTheModel(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	key, _, err := r.conn.CreateKey(t.Context(), jobs.KeySpec{Name: "k2", Tenant: "acme", Models: []string{"m2"}})
	if err != nil {
		t.Fatal(err)
	}
	r.driver(nil)
	b := r.end(r.create(words("hi"), func(b *jobs.StoredBatch) { b.Key = key.ID }), patience)
	if b.Status != protocol.BatchFailed || b.Errors[0].Code != "model_not_found" {
		t.Errorf("%s", b.AppendJSON(nil))
	}
}

func TestBatchGoesOnWithoutItsInput(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	running, release := make(chan struct{}, 64), make(chan struct{})
	r.workerOf("default", 2, blocking(running, release))
	first := r.driver(nil)
	input := repeat("hi", 10)
	id := r.create(input, nil)
	<-running
	if err := r.conn.DeleteFile(t.Context(), r.key.Tenant, r.get(id).Object.InputFileID); err != nil {
		t.Fatal(err)
	}
	first.stop()
	r.driver(nil) // reads the input again
	close(release)
	b := r.end(id, patience)
	if r.check(b, input); b.Status != protocol.BatchCompleted {
		t.Errorf("%s", b.AppendJSON(nil))
	}
}

// Lines too large for a message travel by reference, and a long custom_id comes back
// whole.
func TestBatchOfLargeLines(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	r.worker(2)
	r.driver(nil)
	long := strings.Repeat("i", 5000)
	input := line("a", strings.Repeat("x", 2<<20)) + "\n" + line(long, "hi") + "\n" + line("c", strings.Repeat("y", 3<<20))
	b := r.end(r.create(input, nil), patience)
	if fates := r.check(b, input); fates["a"] != "ok" || fates[long] != "ok" {
		t.Errorf("%s", b.AppendJSON(nil))
	}
}
