package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/osiris/osiris/internal/progress"
	"github.com/osiris/osiris/pkg/jobs"
)

// printHistory writes what became of a job for people: what it is, then its attempts.
func printHistory(w io.Writer, h *jobs.JobHistory) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(table, name+"\t"+format+"\n", args...) }
	row("id", "%s", h.ID)
	row("state", "%s", stateText(h))
	row("model", "%s, class %s, pool %s", h.Model, h.Class, h.Pool)
	row("tenant", "%s, key %s", h.Tenant, firstOf(h.Key, "-"))
	row("created", "%s", moment(h.Created))
	if !h.Queued.IsZero() {
		row("queued", "%s", moment(h.Queued))
	}
	if !h.Deadline.IsZero() {
		row("deadline", "%s", moment(h.Deadline))
	}
	if h.Batch != "" {
		row("batch", "%s, line %d", h.Batch, h.Line)
	}
	for _, key := range slices.Sorted(maps.Keys(h.Metadata)) {
		row("metadata", "%s=%s", key, h.Metadata[key])
	}
	if r := h.Result; r != nil {
		row("ended", "%s, after %s", moment(r.Ended), short(r.Ended.Sub(h.Created)))
		if r.Error != nil {
			row("error", "%d %s: %s", r.Error.Status, firstOf(r.Error.Code, r.Error.Type), r.Error.Message)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return printAttempts(w, h)
}

func stateText(h *jobs.JobHistory) string {
	text := string(h.State)
	if h.Kept {
		text += ", kept"
	}
	switch {
	case h.Retried == 1:
		text += ", run again once"
	case h.Retried > 1:
		text += fmt.Sprintf(", run again %d times", h.Retried)
	}
	return text
}

func printAttempts(w io.Writer, h *jobs.JobHistory) error {
	if len(h.Attempts) == 0 && h.Running == nil {
		fmt.Fprintln(w, "\n"+unattended(h))
		return nil
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "ATTEMPT\tENDED\tHOW\tWORKER\tTARGET\tQUEUE\tWORKER TIME\tMODEL\tTOKENS IN\tOUT\tERROR")
	for _, a := range h.Attempts {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", a.Attempt, moment(a.Time), a.Status, a.Worker, target(a),
			milliseconds(a.QueueMS), milliseconds(a.WorkerMS), milliseconds(a.ModelMS),
			a.Usage.PromptTokens, a.Usage.CompletionTokens, firstOf(a.Error, "-"))
	}
	if r := h.Running; r != nil {
		fmt.Fprintf(table, "%d\t-\trunning for %s\t%s\t-\t-\t-\t-\t-\t-\t-\n", r.Number, progress.Duration(time.Since(r.Began)), firstOf(r.Worker, "-"))
	}
	return table.Flush()
}

// unattended says why there are no attempts to show.
func unattended(h *jobs.JobHistory) string {
	switch h.State {
	case jobs.StateQueued:
		return "no worker has taken it yet"
	case jobs.StateRunning:
		return "a worker has taken it; its attempt is recorded when it ends"
	case jobs.StateFinished, jobs.StateFailed, jobs.StateCancelled, jobs.StateLost:
	}
	return "no attempt is recorded: no worker began it, or the record of it has expired"
}

func target(a jobs.UsageRecord) string {
	if a.Provider == "" {
		return "-"
	}
	return a.Provider + "/" + a.Target
}

// moment is precise to the millisecond: what happened to one request is a matter of
// those.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000Z") }

func milliseconds(ms float64) string { return short(time.Duration(ms * float64(time.Millisecond))) }

// short rounds to what matters.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return progress.Duration(d)
}

// shownJob is a job's history as JSON.
type shownJob struct {
	ID       string             `json:"id"`
	State    jobs.JobState      `json:"state"`
	Kept     bool               `json:"kept"`
	Tenant   string             `json:"tenant"`
	Key      string             `json:"key,omitempty"`
	Model    string             `json:"model"`
	Class    string             `json:"class"`
	Pool     string             `json:"pool"`
	Created  time.Time          `json:"created"`
	Queued   time.Time          `json:"queued,omitzero"`
	Deadline time.Time          `json:"deadline,omitzero"`
	Ended    time.Time          `json:"ended,omitzero"`
	Batch    string             `json:"batch,omitempty"`
	Line     int                `json:"line,omitempty"`
	Metadata map[string]string  `json:"metadata,omitempty"`
	Retried  int                `json:"retried,omitempty"`
	Error    *shownError        `json:"error,omitempty"`
	Attempts []jobs.UsageRecord `json:"attempts"`
	Running  *shownAttempt      `json:"running,omitempty"`
}

type shownError struct {
	Status  int    `json:"status"`
	Type    string `json:"type"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
}

type shownAttempt struct {
	Attempt uint32    `json:"attempt"`
	Worker  string    `json:"worker"`
	Began   time.Time `json:"began"`
	Heard   time.Time `json:"heard"`
}

func historyJSON(h *jobs.JobHistory) shownJob {
	s := shownJob{
		ID: h.ID.String(), State: h.State, Kept: h.Kept, Tenant: h.Tenant, Key: h.Key, Model: h.Model, Class: h.Class.String(),
		Pool: h.Pool, Created: h.Created, Queued: h.Queued, Deadline: h.Deadline, Batch: h.Batch, Line: h.Line,
		Metadata: h.Metadata, Retried: h.Retried, Attempts: slices.Clone(h.Attempts),
	}
	if s.Attempts == nil {
		s.Attempts = []jobs.UsageRecord{}
	}
	if r := h.Result; r != nil {
		s.Ended = r.Ended
		if e := r.Error; e != nil {
			s.Error = &shownError{e.Status, e.Type, e.Code, e.Message}
		}
	}
	if r := h.Running; r != nil {
		s.Running = &shownAttempt{r.Number, r.Worker, r.Began, r.Heard}
	}
	return s
}
