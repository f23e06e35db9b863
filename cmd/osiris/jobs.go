package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/osiris/osiris/internal/progress"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/service/local"
	"github.com/osiris/osiris/pkg/jobs"
)

type jobsCmd struct {
	List   jobsList   `cmd:"" help:"List what waits, runs and has ended lately."`
	Show   jobsShow   `cmd:"" help:"Show what became of a request: its state, attempts, workers, times, errors and usage."`
	Cancel jobsCancel `cmd:"" help:"Cancel a job, whoever it belongs to."`
	Retry  jobsRetry  `cmd:"" help:"Run a kept job again that has failed, under the same id."`
}

// lookTime is how much longer than other commands one may take that reads the history.
const lookTime = 2 * time.Minute

func (q *queueFlags) look(ctx context.Context, std service.IO, f func(context.Context, *local.Queue) error) int {
	cfg, ok := q.load(std)
	if !ok {
		return exitFailed
	}
	return withQueue(ctx, std, cfg, lookTime, f)
}

type jobsList struct {
	queueFlags `embed:""`

	Tenant string `help:"Only those of this tenant." placeholder:"TENANT"`
	Model  string `help:"Only those for this model." placeholder:"MODEL"`
	State  string `help:"Only those that are queued, running, finished, failed, cancelled or lost." enum:",queued,running,finished,failed,cancelled,lost" default:"" placeholder:"STATE"`
	Since  string `help:"How far to look back: 30m, 24h, 7d (1h)." default:"1h" placeholder:"TIME"`
	Limit  atMost `help:"How many (50)." default:"50" placeholder:"N"`
	JSON   bool   `name:"json" help:"As JSON."`
}

// listedJob is a job of a list as JSON.
type listedJob struct {
	ID string `json:"id"`
	jobs.JobSummary
}

func (c *jobsList) run(ctx context.Context, std service.IO) int {
	since, err := parseDays(c.Since)
	if err != nil || since <= 0 {
		fmt.Fprintf(std.Stderr, "%s: --since: %q is no time: write 30m, 24h or 7d\n", name, c.Since)
		return exitUsage
	}
	return c.look(ctx, std, func(ctx context.Context, q *local.Queue) error {
		now := time.Now()
		list, more, err := q.ListJobs(ctx, jobs.JobQuery{
			Tenant: c.Tenant, Model: c.Model, State: jobs.JobState(c.State), Since: now.Add(-since), Limit: int(c.Limit),
		})
		if err != nil {
			return err
		}
		if c.JSON {
			all := make([]listedJob, 0, len(list))
			for _, j := range list {
				all = append(all, listedJob{j.ID.String(), j})
			}
			return printJSON(std.Stdout, all)
		}
		if len(list) == 0 {
			fmt.Fprintf(std.Stdout, "no jobs within %s; look further back with --since\n", c.Since)
			return nil
		}
		if err := printJobs(std.Stdout, list, now); err != nil {
			return err
		}
		if more {
			fmt.Fprintf(std.Stderr, "these are the newest %d; --limit shows more\n", len(list))
		}
		return nil
	})
}

func printJobs(w io.Writer, list []jobs.JobSummary, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSTATE\tCLASS\tMODEL\tTENANT\tAGE\tATTEMPTS\tTOKENS\tERROR")
	for _, j := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", j.ID, j.State, j.Class, j.Model, j.Tenant,
			progress.Duration(now.Sub(j.Created)), j.Attempts, j.Usage.TotalTokens, firstOf(j.Error, "-"))
	}
	return table.Flush()
}

type jobsShow struct {
	queueFlags `embed:""`

	ID   string `arg:"" help:"Its id: x-request-id of the answer, or the id of the completion."`
	JSON bool   `name:"json" help:"As JSON."`
}

func (c *jobsShow) run(ctx context.Context, std service.IO) int {
	id, ok := jobID(c.ID, std)
	if !ok {
		return exitUsage
	}
	return c.look(ctx, std, func(ctx context.Context, q *local.Queue) error {
		h, err := q.JobHistory(ctx, id)
		if errors.Is(err, jobs.ErrUnknownJob) {
			return errNoTrace(id)
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(std.Stdout, historyJSON(h))
		}
		return printHistory(std.Stdout, h)
	})
}

func errNoTrace(id jobs.ID) error {
	return fmt.Errorf("there is no trace of job %s in this queue: it may be another one (--nats-url, --namespace), or too long ago", id)
}

// jobID reads an id, or says what one looks like.
func jobID(text string, std service.IO) (jobs.ID, bool) {
	id, err := jobs.ParseJobID(text)
	if err != nil {
		fmt.Fprintf(std.Stderr, "%s: %q is no id of a job: one has 32 hexadecimal digits, and may begin with chatcmpl-\n", name, text)
	}
	return id, err == nil
}

type jobsCancel struct {
	queueFlags `embed:""`

	ID   string `arg:"" help:"Its id: x-request-id of the answer, or the id of the completion."`
	JSON bool   `name:"json" help:"As JSON."`
}

func (c *jobsCancel) run(ctx context.Context, std service.IO) int {
	return c.change(ctx, std, c.ID, func(ctx context.Context, q *local.Queue, id jobs.ID) error {
		client, err := jobs.NewClient(ctx, q.Conn, jobs.ClientConfig{})
		if err != nil {
			return err
		}
		defer client.Close()
		err = client.CancelJob(ctx, id)
		switch {
		case errors.Is(err, jobs.ErrUnknownJob), errors.Is(err, jobs.ErrEnded):
			return notCancelled(ctx, q, id)
		case errors.Is(err, jobs.ErrBatchLine):
			return fmt.Errorf("%s: osiris batch cancel ends the batch", reason(err))
		case err != nil:
			return err
		}
		return tellChange(std, c.JSON, id, jobs.StateCancelled, "is cancelled")
	})
}

// change does something to the job of that id.
func (q *queueFlags) change(ctx context.Context, std service.IO, text string, do func(context.Context, *local.Queue, jobs.ID) error) int {
	id, ok := jobID(text, std)
	if !ok {
		return exitUsage
	}
	return q.look(ctx, std, func(ctx context.Context, queue *local.Queue) error { return do(ctx, queue, id) })
}

// tellChange says what became of a job that was changed.
func tellChange(std service.IO, asJSON bool, id jobs.ID, state jobs.JobState, how string) error {
	if asJSON {
		return printJSON(std.Stdout, changedJob{id.String(), state})
	}
	fmt.Fprintf(std.Stdout, "job %s %s\n", id, how)
	return nil
}

// changedJob is a job that was cancelled or queued again as JSON.
type changedJob struct {
	ID    string        `json:"id"`
	State jobs.JobState `json:"state"`
}

// notCancelled says why a job that does not run cannot be cancelled.
func notCancelled(ctx context.Context, q *local.Queue, id jobs.ID) error {
	h, err := q.JobHistory(ctx, id)
	switch {
	case errors.Is(err, jobs.ErrUnknownJob):
		return errNoTrace(id)
	case err != nil:
		return err
	}
	return fmt.Errorf("%s neither waits nor runs: it is %s", id, h.State)
}

type jobsRetry struct {
	queueFlags `embed:""`

	ID   string `arg:"" help:"Its id: x-request-id of the answer, or the id of the completion."`
	JSON bool   `name:"json" help:"As JSON."`
}

func (c *jobsRetry) run(ctx context.Context, std service.IO) int {
	return c.change(ctx, std, c.ID, func(ctx context.Context, q *local.Queue, id jobs.ID) error {
		err := q.RetryJob(ctx, id)
		switch {
		case errors.Is(err, jobs.ErrUnknownJob):
			return errNoTrace(id)
		case errors.Is(err, jobs.ErrNotKept):
			return fmt.Errorf("the request of %s is not kept, so it cannot run again: only requests with store, background or an Idempotency-Key are", id)
		case errors.Is(err, jobs.ErrBatchLine):
			return fmt.Errorf("%s is a line of a batch, which tries its lines again by itself until its window ends; submit those that failed in another batch", id)
		case errors.Is(err, jobs.ErrNotFailed):
			return fmt.Errorf("%s cannot run again: %s", id, reason(err))
		case err != nil:
			return err
		}
		return tellChange(std, c.JSON, id, jobs.StateQueued, "is queued again")
	})
}

// reason leaves out which operation it was that failed.
func reason(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "retry job: "), "cancel job: ")
}
