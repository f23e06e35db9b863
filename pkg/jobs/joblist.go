package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// JobQuery selects jobs. Empty fields select all.
type JobQuery struct {
	Tenant string
	Model  string
	State  JobState
	Since  time.Time // made since then; the zero time is an hour ago
	Limit  int       // 0: 50
}

// JobSummary is one job of a list.
type JobSummary struct {
	ID       ID             `json:"-"`
	State    JobState       `json:"state"`
	Kept     bool           `json:"kept"`
	Tenant   string         `json:"tenant"`
	Model    string         `json:"model"`
	Class    string         `json:"class"`
	Pool     string         `json:"pool"`
	Created  time.Time      `json:"created"`
	Ended    time.Time      `json:"ended,omitzero"`
	Attempts int            `json:"attempts"` // that have ended
	Worker   string         `json:"worker,omitempty"`
	Error    string         `json:"error,omitempty"`
	Usage    protocol.Usage `json:"usage"` // of all attempts
}

// ListJobs lists jobs, newest first: what waits and runs, what is kept, and what the
// usage stream tells of the others. more says that there are others behind the last.
// It costs several reads for each job it returns: it is for people.
func (c *Conn) ListJobs(ctx context.Context, q JobQuery) (list []JobSummary, more bool, err error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	if q.Since.IsZero() {
		q.Since = time.Now().Add(-time.Hour)
	}
	if q.Tenant == "" {
		q.Tenant = "*"
	} else if !validToken(q.Tenant) {
		return nil, false, fmt.Errorf("list jobs: %w", checkToken("tenant", q.Tenant))
	}
	l := &jobLister{c: c, q: q, found: map[ID]*JobSummary{}, delivered: map[poolClass]uint64{}}
	for _, gather := range []func(context.Context) error{l.usage, l.queue, l.kept} {
		if err := gather(ctx); err != nil {
			return nil, false, fmt.Errorf("list jobs: %w", err)
		}
	}
	for _, id := range l.newestFirst() {
		s := l.found[id]
		if err := l.complete(ctx, s); err != nil {
			return nil, false, fmt.Errorf("list jobs: %w", err)
		}
		if s.State == "" || q.Model != "" && s.Model != q.Model || q.State != "" && s.State != q.State {
			continue
		}
		if len(list) == q.Limit {
			return list, true, nil
		}
		list = append(list, *s)
	}
	return list, false, nil
}

// jobLister puts a list together from what different streams know.
type jobLister struct {
	c         *Conn
	q         JobQuery
	found     map[ID]*JobSummary
	inQueue   map[ID]poolClass
	delivered map[poolClass]uint64 // newest sequence that was handed out
}

// of returns the entry of a job; nil for one that was not asked for.
func (l *jobLister) of(text, tenant string) *JobSummary {
	id, err := ParseID(text)
	if err != nil || id.Time().Before(l.q.Since) {
		return nil
	}
	s := l.found[id]
	if s == nil {
		s = &JobSummary{ID: id, Tenant: tenant, Created: id.Time()}
		l.found[id] = s
	}
	return s
}

func (l *jobLister) usage(ctx context.Context) error {
	return l.c.scanUsage(ctx, l.q.Tenant, l.q.Since, time.Now().Add(clockSlack), func(line []byte) error {
		var r UsageRecord
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("read usage: %w", err)
		}
		s := l.of(r.Job, r.Tenant)
		if s == nil || s.Ended.Equal(r.Time) { // stored twice
			return nil
		}
		s.Attempts++
		s.Usage.PromptTokens += r.Usage.PromptTokens
		s.Usage.CompletionTokens += r.Usage.CompletionTokens
		s.Usage.TotalTokens += r.Usage.TotalTokens
		if !r.Time.Before(s.Ended) {
			s.Ended, s.State, s.Worker, s.Error = r.Time, stateOfUsage(r.Status), r.Worker, r.Error
			s.Model, s.Class, s.Pool = r.Model, r.Class, r.Pool
		}
		return nil
	})
}

// queue finds what waits or runs, by the subjects alone.
func (l *jobLister) queue(ctx context.Context) error {
	l.inQueue = map[ID]poolClass{}
	for _, class := range Classes() {
		prefix := l.c.n.classPrefix(class)
		err := l.c.eachSubject(ctx, l.c.n.jobsStream(class), prefix+"*."+l.q.Tenant+".*", func(subject string) {
			parts := strings.Split(strings.TrimPrefix(subject, prefix), ".")
			if len(parts) != 3 {
				return
			}
			if s := l.of(parts[2], parts[1]); s != nil {
				l.inQueue[s.ID] = poolClass{parts[0], class}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// kept finds the jobs that have a record.
func (l *jobLister) kept(ctx context.Context) error {
	for _, filter := range []string{l.c.n.recordsOf(l.q.Tenant, "*"), l.c.n.hiddenOf(l.q.Tenant)} {
		err := l.c.eachSubject(ctx, l.c.n.keptStream(), filter, func(subject string) {
			parts := strings.Split(strings.TrimPrefix(subject, l.c.n.ns+".kept."), ".")
			if len(parts) != 4 {
				return
			}
			if s := l.of(parts[2], parts[0]); s != nil {
				s.Kept = true
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *jobLister) newestFirst() []ID {
	ids := make([]ID, 0, len(l.found))
	for id := range l.found {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ID) int { return -bytes.Compare(a[:], b[:]) })
	return ids
}

// complete reads what is not known of a job yet. One that ended while it was looked
// for, and left nothing, keeps an empty state.
func (l *jobLister) complete(ctx context.Context, s *JobSummary) error {
	if pc, ok := l.inQueue[s.ID]; ok {
		if err := l.fromQueue(ctx, s, pc); err != nil {
			return err
		}
	}
	if !s.Kept {
		return nil
	}
	k, _, err := l.c.readKept(ctx, s.Tenant, s.ID)
	if errors.Is(err, ErrNotKept) {
		return nil // deleted
	}
	if err != nil {
		return err
	}
	s.Model, s.Pool, s.Class = k.Job.Model, k.Job.Pool, k.Job.Class.String()
	if k.Result == nil {
		return nil
	}
	s.State, s.Ended = stateOfResult(k.Result.Status), k.Result.Ended
	if k.Result.Error != nil {
		s.Error = firstText(k.Result.Error.Code, k.Result.Error.Type)
	}
	return nil
}

func (l *jobLister) fromQueue(ctx context.Context, s *JobSummary, pc poolClass) error {
	m, err := l.c.leaderGet(ctx, l.c.n.jobsStream(pc.class), question{LastFor: l.c.n.job(pc.class, pc.pool, s.Tenant, s.ID)})
	if errors.Is(err, errNotStored) {
		return nil
	}
	if err != nil {
		return err
	}
	job, _, _, err := decodeJob(m.Data)
	if err != nil {
		return err
	}
	last, known := l.delivered[pc]
	if !known {
		info, err := l.c.consumerInfo(ctx, pc)
		if err != nil {
			return err
		}
		last = info.Delivered.Stream
		l.delivered[pc] = last
	}
	s.Model, s.Pool, s.Class = job.Model, job.Pool, job.Class.String()
	s.State, s.Ended = StateQueued, time.Time{}
	if m.Seq > last {
		return nil
	}
	s.State = StateRunning
	if job.Keep == nil || s.Attempts == 0 {
		return nil
	}
	now, err := l.c.runningAttempt(ctx, s.ID)
	if err == nil && now == nil {
		s.State = StateQueued // it waits to be tried again
	}
	return err
}

func firstText(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
