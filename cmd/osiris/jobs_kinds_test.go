package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// ask sends a completion request and returns the id of its job, whatever came of it.
func (r *upRig) ask(t *testing.T, body string, header ...string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.key)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(res.Header.Get("X-Request-Id"), "chatcmpl-")
}

// changed reads what cancel or retry wrote for programs.
func changed(t *testing.T, got told) (job changedJob) {
	t.Helper()
	if err := json.Unmarshal([]byte(got.stdout), &job); err != nil || got.code != 0 {
		t.Errorf("%v: %+v", err, got)
	}
	return job
}

// Of every kind of job that has failed can be told what became of it. Those whose
// request is kept run again; of the others it is said why they do not.
func TestFailedJobsOfEveryKind(t *testing.T) {
	r := startRig(t)
	body := func(more string) string {
		return `{"model":"echo?error=400","messages":[{"role":"user","content":"Hello!"}]` + more + `}`
	}
	batch := r.command(t, r.url, requests(1, `,"metadata":{"echo_error":"400"}`), "batch", "submit", "-", "-w", "-o", "-")
	if batch.code != exitUnanswered {
		t.Fatalf("%+v", batch)
	}
	list := r.jobs(t, "list", "--json")
	var all []listedJob
	if err := json.Unmarshal([]byte(list.stdout), &all); err != nil || len(all) != 1 {
		t.Fatalf("%v: %+v", err, list)
	}
	for _, c := range []struct {
		kind, id string
		kept     bool
		why      string // it cannot run again
	}{
		{kind: "plain", id: r.ask(t, body("")), why: "is not kept"},
		{kind: "stored", id: r.ask(t, body(`,"store":true`)), kept: true},
		{kind: "stored stream", id: r.ask(t, body(`,"store":true,"stream":true`)), kept: true},
		{kind: "background", id: r.ask(t, body(`,"background":true`)), kept: true},
		{kind: "keyed", id: r.ask(t, body(""), "Idempotency-Key", "k"), kept: true},
		{kind: "line of a batch", id: all[0].ID, why: "line of a batch"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			text, job := r.shown(t, c.id, "failed")
			if job.Kept != c.kept || len(job.Attempts) != 1 || job.Attempts[0].Error != "invalid_request_error" || !strings.Contains(text, "invalid_request_error") {
				t.Errorf("%+v\n%s", job, text)
			}
			if c.kept && (job.Error == nil || !strings.Contains(text, "was asked to fail with status 400")) {
				t.Errorf("%+v\n%s", job, text)
			}
			if got := r.jobs(t, "cancel", c.id); got.code != exitFailed || !strings.Contains(got.stderr, "neither waits nor runs: it is failed") {
				t.Errorf("cancel: %+v", got)
			}
			got := r.jobs(t, "retry", "--json", c.id)
			if c.why != "" {
				if got.code != exitFailed || !strings.Contains(got.stderr, c.why) || strings.Contains(got.stderr, "%!") {
					t.Errorf("retry: %+v", got)
				}
				return
			}
			if job := changed(t, got); job.ID != c.id || job.State != "queued" {
				t.Errorf("retry: %+v", got)
			}
			eventually(t, "it ran again", func() bool {
				text, job = r.shown(t, c.id, "failed")
				return len(job.Attempts) == 2
			})
			if job.Attempts[1].Attempt != 2 || job.Retried != 1 || !strings.Contains(text, "failed, kept, run again once") || !strings.Contains(text, "\n2 ") {
				t.Errorf("%+v\n%s", job, text)
			}
		})
	}
	if list := r.jobs(t, "list", "--state", "failed"); strings.Count(list.stdout, "invalid_request_error") != 6 {
		t.Errorf("%+v", list)
	}
}

// Jobs of every kind can be looked at while they run, and ended; lines of a batch with
// their batch alone.
func TestRunningJobsOfEveryKind(t *testing.T) {
	r := startRig(t)
	body := func(more string) string {
		return `{"model":"echo?first=50s","messages":[{"role":"user","content":"Hello!"}]` + more + `}`
	}
	for _, c := range []struct{ kind, more, key string }{
		{"plain", "", ""}, {"stored", `,"store":true`, ""}, {"background", `,"background":true`, ""}, {"keyed", "", "k"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			header, asked := []string{}, make(chan struct{})
			if c.key != "" {
				header = []string{"Idempotency-Key", c.key}
			}
			go func() {
				defer close(asked)
				r.ask(t, body(c.more), header...)
			}()
			var all []listedJob
			eventually(t, "it runs", func() bool {
				return json.Unmarshal([]byte(r.jobs(t, "list", "--json", "--state", "running").stdout), &all) == nil && len(all) == 1
			})
			id := all[0].ID
			text, job := r.shown(t, id, "running")
			if job.Deadline.IsZero() || job.Queued.IsZero() || job.Kept != (c.kind != "plain") {
				t.Errorf("%+v", job)
			}
			if want := map[bool]string{true: "running for", false: "a worker has taken it"}[job.Running != nil]; !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", text, want)
			}
			if got := r.jobs(t, "retry", id); got.code != exitFailed || !strings.Contains(got.stderr, "osiris: ") {
				t.Errorf("retry: %+v", got)
			}
			if job := changed(t, r.jobs(t, "cancel", "--json", id)); job.ID != id || job.State != "cancelled" {
				t.Errorf("cancel: %+v", job)
			}
			<-asked
			r.shown(t, id, "cancelled")
		})
	}
	id := strings.TrimSpace(r.command(t, r.url, requests(1, `,"metadata":{"echo_first":"3s"}`), "batch", "submit", "-").stdout)
	var all []listedJob
	eventually(t, "the line runs", func() bool {
		return json.Unmarshal([]byte(r.jobs(t, "list", "--json", "--state", "running").stdout), &all) == nil && len(all) == 1
	})
	if text, job := r.shown(t, all[0].ID, "running"); job.Batch != id || job.Line != 1 || !strings.Contains(text, fmt.Sprintf("%s, line 1", id)) {
		t.Errorf("%+v\n%s", job, text)
	}
	for _, verb := range []string{"cancel", "retry"} {
		if got := r.jobs(t, verb, all[0].ID); got.code != exitFailed || !strings.Contains(got.stderr, "line") || strings.Contains(got.stderr, "%!") {
			t.Errorf("%s: %+v", verb, got)
		}
	}
	if got := r.command(t, r.url, "", "batch", "cancel", id); got.code != 0 {
		t.Errorf("%+v", got)
	}
}
