package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
)

// masks make output the same every time.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ID"},
	{regexp.MustCompile(`\bkey_[0-9A-Za-z_-]+`), "K"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\b(\d+(\.\d+)?(µs|ms|s|m|h))+\b`), "SPAN"},
	{regexp.MustCompile(`finished +\S+ +echo/echo`), "finished WORKER echo/echo"},
	{regexp.MustCompile(` +`), " "},
}

func masked(s string) string {
	for _, m := range masks {
		s = m.pattern.ReplaceAllString(s, m.with)
	}
	return strings.TrimSpace(s)
}

// jobs runs osiris jobs on the data folder.
func (r *upRig) jobs(t *testing.T, args ...string) told {
	t.Helper()
	return runCommand(t, nil, "", append(append([]string{"jobs"}, args...), "--data-dir", r.dir)...)
}

// shown waits until a job is in a state and returns what is told of it.
func (r *upRig) shown(t *testing.T, id, state string) (text string, job shownJob) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		got := r.jobs(t, "show", "--json", id)
		if err := json.Unmarshal([]byte(got.stdout), &job); err == nil && string(job.State) == state {
			return r.jobs(t, "show", id).stdout, job
		}
		if time.Now().After(deadline) {
			t.Fatalf("want %s: %+v", state, got)
		}
	}
}

var completionPattern = regexp.MustCompile(`chatcmpl-[0-9a-f]{32}`)

// What became of a request can be told, and a kept one that failed runs again.
func TestJobs(t *testing.T) {
	r := startRig(t)
	if got := r.jobs(t, "list"); got.code != 0 || !strings.HasPrefix(got.stdout, "no jobs within 1h") {
		t.Errorf("%+v", got)
	}
	_, answer := complete(t, r.url, r.key, plain)
	id := completionPattern.FindString(answer)
	text, job := r.shown(t, id, "finished")
	if want := "id ID\nstate finished\nmodel echo, class interactive, pool default\ntenant default, key K\ncreated TIME\n\n" +
		"ATTEMPT ENDED HOW WORKER TARGET QUEUE WORKER TIME MODEL TOKENS IN OUT ERROR\n1 TIME finished WORKER echo/echo SPAN SPAN SPAN 2 2 -"; masked(text) != want {
		t.Errorf("got:\n%s\nwant:\n%s\nof:\n%s", masked(text), want, text)
	}
	if len(job.Attempts) != 1 || job.Attempts[0].Usage.TotalTokens != 4 || job.Kept {
		t.Errorf("%+v", job)
	}
	if got := r.jobs(t, "retry", id); got.code != 1 || !strings.Contains(got.stderr, "not kept") {
		t.Errorf("retry of a plain job: %+v", got)
	}
	if got := r.jobs(t, "cancel", id); got.code != 1 || !strings.Contains(got.stderr, "neither waits nor runs") {
		t.Errorf("cancel of an ended job: %+v", got)
	}

	_, answer = complete(t, r.url, r.key, `{"model":"echo?error=400","background":true,"messages":[{"role":"user","content":"Hello!"}]}`)
	id = completionPattern.FindString(answer)
	text, job = r.shown(t, id, "failed")
	if !strings.Contains(text, "failed, kept") || job.Error == nil || job.Error.Status != 400 || !strings.Contains(text, "error") {
		t.Errorf("%s\n%+v", text, job)
	}
	if got := r.jobs(t, "retry", id); got.code != 0 || !strings.Contains(got.stdout, "is queued again") {
		t.Errorf("retry: %+v", got)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		if _, job = r.shown(t, id, "failed"); len(job.Attempts) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it did not run again: %+v", job)
		}
	}

	_, answer = complete(t, r.url, r.key, `{"model":"echo?first=1m","background":true,"messages":[{"role":"user","content":"Hello!"}]}`)
	id = completionPattern.FindString(answer)
	if _, job = r.shown(t, id, "running"); job.Deadline.IsZero() {
		t.Errorf("%+v", job)
	}
	if got := r.jobs(t, "cancel", id); got.code != 0 || !strings.Contains(got.stdout, "is cancelled") {
		t.Errorf("cancel: %+v", got)
	}
	r.shown(t, id, "cancelled")
	if got := r.jobs(t, "retry", id); got.code != 1 || !strings.Contains(got.stderr, "has not failed") {
		t.Errorf("retry of a cancelled job: %+v", got)
	}

	got := r.jobs(t, "list")
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if len(lines) != 4 || !strings.Contains(lines[1], "cancelled") || !strings.Contains(lines[2], "failed") || !strings.Contains(lines[3], "finished") {
		t.Errorf("list: %+v", got)
	}
	if got := r.jobs(t, "list", "--state", "failed", "--json"); strings.Count(got.stdout, `"id"`) != 1 {
		t.Errorf("failed ones: %+v", got)
	}
	for _, args := range [][]string{{"show", "x"}, {"cancel", "x"}, {"retry", "x"}, {"list", "--since", "soon"}, {"list", "--state", "odd"}} {
		if got := r.jobs(t, args...); got.code != 2 || got.stderr == "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := r.jobs(t, "show", strings.Repeat("0", 32)); got.code != 1 || !strings.Contains(got.stderr, "no trace") {
		t.Errorf("%+v", got)
	}
}
