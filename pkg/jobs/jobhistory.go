package jobs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrUnknownJob says that nothing is known of a job: it never was, or what was
// stored of it has expired.
var ErrUnknownJob = errors.New("no such job")

// JobState is where a job is, as far as what is stored tells.
type JobState string

// The states of a job. Of a plain job nothing but its usage is stored, so how it
// ended is how its last attempt did.
const (
	StateQueued    JobState = "queued"    // nobody has taken it
	StateRunning   JobState = "running"   // a worker has taken it, or is about to again
	StateFinished  JobState = "finished"  // it was answered
	StateFailed    JobState = "failed"    // it was answered with an error
	StateCancelled JobState = "cancelled" // nobody wanted the answer any more
	StateLost      JobState = "lost"      // its last attempt was given up, and the queue does not hold it
)

// JobHistory is what became of a job.
type JobHistory struct {
	ID       ID
	State    JobState
	Tenant   string
	Key      string // id of the API key
	Model    string
	Pool     string
	Class    Class
	Created  time.Time       // when its id was made
	Queued   time.Time       // when the queue stored it; zero: it holds it no more
	Deadline time.Time       // zero: none, or not known any more
	Attempts []UsageRecord   // in the order of their ends, numbered through all retries
	Running  *RunningAttempt // of a job that runs, if its worker is known
	Retried  int             // how often it was run again after it had failed, as far as attempts tell

	Kept     bool
	Batch    string // of a batch's line: the batch, and the line
	Line     int
	Metadata map[string]string
	Result   *Result // of a kept job that has ended
}

// JobHistory looks everywhere for a job: in the queue, among kept jobs and results,
// and in the usage stream. It reads as much of that as was written since the job was
// made, so it is for people, not for requests. The error is ErrUnknownJob if there
// is no trace.
func (c *Conn) JobHistory(ctx context.Context, id ID) (*JobHistory, error) {
	h := &JobHistory{ID: id, Created: id.Time()}
	queued, seq, err := c.findQueued(ctx, id)
	if err == nil {
		err = h.readKept(ctx, c)
	}
	if err == nil {
		err = c.scanUsage(ctx, "*", h.Created.Add(-clockSlack), h.until(), func(line []byte) error {
			if bytes.Contains(line, []byte(id.String())) {
				return h.addUsage(line)
			}
			return nil
		})
	}
	if err == nil && queued != nil {
		err = h.addQueued(ctx, c, queued, seq)
	}
	if err != nil {
		return nil, fmt.Errorf("look for job: %w", err)
	}
	if queued == nil && !h.Kept && len(h.Attempts) == 0 {
		return nil, ErrUnknownJob
	}
	h.conclude(queued != nil)
	return h, nil
}

// clockSlack is how far the clocks of frontends and of the broker may be apart.
const clockSlack = time.Minute

// until is when the last record of the job was written at the latest.
func (h *JobHistory) until() time.Time {
	if h.Result != nil && !h.Result.Ended.IsZero() {
		return h.Result.Ended.Add(clockSlack)
	}
	return time.Now().Add(clockSlack)
}

// findQueued looks for the job in the queue, whoever's it is.
func (c *Conn) findQueued(ctx context.Context, id ID) (*record, uint64, error) {
	for _, class := range Classes() {
		m, err := c.leaderGet(ctx, c.n.jobsStream(class), question{Seq: 1, NextFor: c.n.job(class, "*", "*", id)})
		if errors.Is(err, errNotStored) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		job, frontend, ref, err := decodeJob(m.Data)
		if err != nil {
			return nil, 0, err
		}
		return &record{job: job, frontend: frontend, ref: ref, seq: m.Seq, stored: m.Time}, m.Seq, nil
	}
	return nil, 0, nil
}

// findRecord looks for the record of a kept job, whoever's it is; nil if there is
// none.
func (c *Conn) findRecord(ctx context.Context, id ID) (*record, error) {
	for _, subject := range []string{c.n.record("*", id), c.n.hidden("*", id)} {
		m, err := c.leaderGet(ctx, c.n.keptStream(), question{Seq: 1, NextFor: subject})
		if errors.Is(err, errNotStored) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return openRecord(m)
	}
	return nil, nil
}

// readKept fills in what is kept of the job.
func (h *JobHistory) readKept(ctx context.Context, c *Conn) error {
	found, err := c.findRecord(ctx, h.ID)
	if err != nil || found == nil {
		return err
	}
	k, rec, err := c.readKept(ctx, found.job.Tenant, h.ID)
	if errors.Is(err, ErrNotKept) {
		return nil // deleted
	}
	if err != nil {
		return err
	}
	h.Kept = true
	h.describe(k.Job)
	h.Metadata, h.Result = k.Metadata, k.Result
	if h.Result == nil {
		h.Deadline = rec.deadline()
	}
	return nil
}

func (h *JobHistory) describe(j *Job) {
	h.Tenant, h.Key, h.Model, h.Pool, h.Class = j.Tenant, j.Key, j.Model, j.Pool, j.Class
	if j.Keep != nil {
		h.Kept, h.Batch, h.Line = true, j.Keep.Batch, j.Keep.Line
	}
}

func (h *JobHistory) addUsage(line []byte) error {
	var r UsageRecord
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("read usage: %w", err)
	}
	if r.Job != h.ID.String() {
		return nil
	}
	same := func(have UsageRecord) bool { return have.Attempt == r.Attempt && have.Time.Equal(r.Time) }
	if !slices.ContainsFunc(h.Attempts, same) { // stored twice
		h.Attempts = append(h.Attempts, r)
	}
	return nil
}

// addQueued fills in what the job's message in the queue tells.
func (h *JobHistory) addQueued(ctx context.Context, c *Conn, q *record, seq uint64) error {
	h.describe(q.job)
	h.Queued, h.Deadline = q.stored, q.deadline()
	info, err := c.consumerInfo(ctx, poolClass{q.job.Pool, q.job.Class})
	if err != nil {
		return err
	}
	h.State = StateQueued
	if seq <= info.Delivered.Stream {
		h.State = StateRunning
	}
	if h.Kept {
		if h.Running, err = c.runningAttempt(ctx, h.ID); err != nil {
			return err
		}
	}
	if h.Running == nil && h.State == StateRunning {
		h.Running, err = c.askWhoRuns(ctx, q)
	}
	return err
}

// conclude says from everything found where the job is.
func (h *JobHistory) conclude(queued bool) {
	slices.SortFunc(h.Attempts, func(a, b UsageRecord) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Attempt, b.Attempt))
	})
	if h.Model == "" && len(h.Attempts) > 0 {
		a := h.Attempts[0]
		h.Tenant, h.Key, h.Model, h.Pool = a.Tenant, a.Key, a.Model, a.Pool
		if class, err := ParseClass(a.Class); err == nil {
			h.Class = class
		}
	}
	h.number()
	if n := len(h.Attempts); n > 0 && h.Running != nil && !h.Attempts[n-1].Time.Before(h.Running.Began) {
		h.Running = nil // it has ended, and the next one has not begun
	}
	if h.Kept && h.State == StateRunning && h.Running == nil && len(h.Attempts) > 0 {
		h.State = StateQueued // it waits to be tried again
	}
	switch {
	case h.Result != nil:
		h.State = stateOfResult(h.Result.Status)
	case queued:
	case len(h.Attempts) > 0:
		h.State = stateOfUsage(h.Attempts[len(h.Attempts)-1].Status)
	default:
		h.State = StateLost
	}
}

func stateOfResult(s ResultStatus) JobState {
	switch s {
	case Completed:
		return StateFinished
	case Errored:
		return StateFailed
	case Cancelled, Deleted:
	}
	return StateCancelled
}

func stateOfUsage(s Status) JobState {
	switch s {
	case StatusFinished:
		return StateFinished
	case StatusFailed:
		return StateFailed
	case StatusCancelled:
		return StateCancelled
	case StatusHandedBack:
	}
	return StateLost
}

// ParseJobID reads the id of a job as people have it: bare, or as the id of a
// completion.
func ParseJobID(s string) (ID, error) { return ParseID(strings.TrimPrefix(s, "chatcmpl-")) }
