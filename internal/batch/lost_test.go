package batch

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// largeWords is an input that no reader has in memory as a whole.
func largeWords() string {
	var text strings.Builder
	for i := range 14 {
		text.WriteString(line("c"+strconv.Itoa(i), strings.Repeat("x", 300<<10)) + "\n")
	}
	return text.String()
}

// lose removes the content of a batch's input although the batch holds it.
func (r *rig) lose(id string) {
	r.t.Helper()
	input := *r.get(id).Input
	if err := r.conn.ReleaseFile(r.t.Context(), input, id); err != nil {
		r.t.Fatal(err)
	}
	if err := r.conn.DeleteFile(r.t.Context(), r.key.Tenant, input.ID); err != nil {
		r.t.Fatal(err)
	}
}

// Lines whose text is lost while their batch runs say so in the error file; those
// that were answered stay answered.
func TestBatchWhoseInputIsLost(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		r.cfg.LinesMost = 1
		running, release := make(chan struct{}, 64), make(chan struct{})
		r.workerOf("default", 1, blocking(running, release))
		r.driver(nil)
		input := largeWords()
		id := r.create(input, nil)
		<-running
		r.lose(id)
		close(release)
		b := r.end(id, patience)
		fates := r.check(b, input)
		if b.Status != protocol.BatchCompleted || fates["c0"] != "ok" || fates["c13"] != protocol.CodeBatchInputLost {
			t.Errorf("%s, %v", b.AppendJSON(nil), fates)
		}
		r.nothingLeft(id)
	})
}

// A driver that takes a batch over cannot even tell its lines apart without the
// input: the batch fails instead of being taken up for ever.
func TestBatchTakenOverWithoutItsInput(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		for _, cancelled := range []bool{false, true} {
			r := newRig(t, n)
			running, release := make(chan struct{}, 64), make(chan struct{})
			defer close(release)
			r.workerOf("default", 1, blocking(running, release))
			first := r.driver(nil)
			id := r.create(words("hi", "hi"), nil)
			<-running // perhaps a line that the batch before it left
			r.await(id, patience, "begun", func(b *protocol.Batch) bool { return b.Status == protocol.BatchInProgress })
			first.stop()
			r.lose(id)
			if cancelled {
				if _, err := r.conn.CancelBatch(t.Context(), r.key.Tenant, id); err != nil {
					t.Fatal(err)
				}
			}
			second := r.driver(nil)
			b := r.end(id, patience)
			if b.Status != protocol.BatchFailed || b.FailedAt == 0 || len(b.Errors) != 1 || b.Errors[0].Param != "file_id" ||
				!strings.Contains(b.Errors[0].Message, b.InputFileID) {
				t.Errorf("cancelled=%t: %s", cancelled, b.AppendJSON(nil))
			}
			r.nothingLeft(id)
			second.stop()
		}
	})
}

// A model's own refusal is an answer, whatever its code.
func TestBatchLineRefusedByTheWordsOfABatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, jobstest.One(t))
	r.workerOf("default", 2, func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		for _, code := range []string{protocol.CodeBatchExpired, protocol.CodeBatchCancelled, protocol.CodeBatchInputLost} {
			if strings.Contains(string(a.Job().Body), code) {
				return jobs.Outcome{}, protocol.ErrInvalid("messages", code, "No.")
			}
		}
		return answer(ctx, a)
	})
	running := make(chan struct{})
	first := r.driver(func(d *Driver) {
		d.wrote = func(what string) {
			if what == "finalize" {
				close(running)
				<-t.Context().Done()
			}
		}
	})
	input := words(protocol.CodeBatchExpired, "hi", protocol.CodeBatchCancelled, protocol.CodeBatchInputLost)
	id := r.create(input, nil)
	<-running
	first.die() // what follows reads the refusals from the results
	r.driver(nil)
	b := r.end(id, patience)
	fates := r.check(b, input)
	if b.Status != protocol.BatchCompleted || b.ExpiredAt != 0 || fates["c0"] != "400" || fates["c2"] != "400" || fates["c3"] != "400" {
		t.Errorf("%s, %v", b.AppendJSON(nil), fates)
	}
}
