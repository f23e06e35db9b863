package batch

import (
	"strings"
	"testing"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// storedLine is a line whose answer is to be kept, with its custom_id as metadata.
func storedLine(id, word string) string {
	return strings.Replace(line(id, word), `"model":"m"`, `"model":"m","store":true,"metadata":{"line":"`+id+`"}`, 1) + "\n"
}

// kept checks that each answer is a completion under its id if its line asked for
// that, and only then.
func (r *rig) kept(b *protocol.Batch, input string) (ids map[string]jobs.ID) {
	r.t.Helper()
	client, err := jobs.NewClient(r.t.Context(), r.conn, jobs.ClientConfig{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	ids = map[string]jobs.ID{}
	for _, l := range r.lines(b.OutputFileID) {
		id, err := jobs.ParseJobID(l.Response.Body.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		k, err := client.Kept(r.t.Context(), r.key.Tenant, id, jobs.KeptOptions{WithBody: true})
		if !strings.Contains(input, `"metadata":{"line":"`+l.CustomID+`"}`) {
			if err == nil {
				r.t.Errorf("%s is kept", l.CustomID)
			}
			continue
		}
		if err != nil {
			r.t.Errorf("%s is not kept: %v", l.CustomID, err)
			continue
		}
		ids[l.CustomID] = id
		if k.Status != jobs.KeptCompleted || k.Metadata["line"] != l.CustomID || protocol.AnswerID(k.Result.Body) != l.Response.Body.ID ||
			!strings.Contains(string(k.Job.Body), `"messages"`) {
			r.t.Errorf("%s: %s, %v, answer %s, request %s", l.CustomID, k.Status, k.Metadata, k.Result.Body, k.Job.Body)
		}
	}
	if want := strings.Count(input, `"store":true`); len(ids) > want {
		r.t.Errorf("%d completions are kept, want %d", len(ids), want)
	}
	return ids
}

// Lines that say "store": true are completions once their batch has ended: under the
// ids of the output file, listed, read whole however large, and deleted for good.
func TestBatchKeepsAnswers(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		r.worker(4)
		r.driver(nil)
		input := storedLine("a", "hi") + line("b", "hi") + "\n" + storedLine("busy", "busy") + storedLine("bad", "bad") +
			storedLine("large", strings.Repeat("hello ", 1<<18)) + `{"custom_id":"odd","method":"POST","url":"/v1/chat/completions",` +
			`"body":{"model":"m","st\u006fre":true,"metadata":{"line":"odd"},"messages":[{"role":"user","content":"hi"}]}}` + "\n"
		b := r.end(r.create(input, nil), patience)
		if fates := r.check(b, input); fates["a"] != "ok" || fates["bad"] != "400" || fates["large"] != "ok" {
			t.Fatal(fates)
		}
		ids := r.kept(b, input)
		if len(ids) != 4 {
			t.Fatalf("kept %v", ids)
		}
		r.listed(4, ids, jobs.KeptQuery{})
		r.listed(1, ids, jobs.KeptQuery{Metadata: map[string]string{"line": "large"}})
		client, err := jobs.NewClient(t.Context(), r.conn, jobs.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.DeleteKept(t.Context(), r.key.Tenant, ids["a"]); err != nil {
			t.Fatal(err)
		}
		again := &jobs.Job{ID: ids["a"], Tenant: r.key.Tenant, Model: "m", Pool: "default", Class: jobs.Batch, Body: []byte("{}"), Keep: &jobs.Keep{}}
		if err := client.KeepAnswer(t.Context(), again, &jobs.Result{Status: jobs.Completed, Body: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		delete(ids, "a")
		r.listed(3, ids, jobs.KeptQuery{})
	})
}

// listed checks what a list has.
func (r *rig) listed(want int, ids map[string]jobs.ID, q jobs.KeptQuery) {
	r.t.Helper()
	client, err := jobs.NewClient(r.t.Context(), r.conn, jobs.ClientConfig{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	list, _, err := client.ListKept(r.t.Context(), r.key.Tenant, q)
	if err != nil || len(list) != want {
		r.t.Fatalf("%d are listed, want %d, %v", len(list), want, err)
	}
	for _, k := range list {
		if ids[k.Metadata["line"]] != k.Job.ID {
			r.t.Errorf("listed %s as %s, want %s", k.Metadata["line"], k.Job.ID, ids[k.Metadata["line"]])
		}
	}
}
