package jobs

import (
	"bytes"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/protocol"
)

// Status says how an attempt ended.
type Status string

// The ways an attempt can end.
const (
	StatusFinished   Status = "finished"
	StatusFailed     Status = "failed"
	StatusCancelled  Status = "cancelled"
	StatusHandedBack Status = "handed_back"
)

// UsageRecord is what the usage stream keeps of each attempt that began, as a line
// of JSON; a message holds the lines of one tenant that came together. A record may
// be stored twice when an ack of the broker was lost: job and attempt identify it.
type UsageRecord struct {
	Job          string         `json:"job"`
	Attempt      uint32         `json:"attempt"`
	Tenant       string         `json:"tenant"`
	Key          string         `json:"key,omitzero"`
	Model        string         `json:"model"`
	Class        string         `json:"class"`
	Pool         string         `json:"pool"`
	Worker       string         `json:"worker"`
	Provider     string         `json:"provider,omitzero"`
	Target       string         `json:"target,omitzero"`
	Status       Status         `json:"status"`
	Error        string         `json:"error,omitzero"` // code or type of the client's error
	FinishReason string         `json:"finish_reason,omitzero"`
	Usage        protocol.Usage `json:"usage"`
	QueueMS      float64        `json:"queue_ms"`
	WorkerMS     float64        `json:"worker_ms"`
	ModelMS      float64        `json:"model_ms"`
	Time         time.Time      `json:"time"`
}

func (a *Attempt) usageRecord(o *Outcome, status Status, failure *protocol.Error) *UsageRecord {
	r := &UsageRecord{
		Job: a.job.ID.String(), Attempt: a.number, Tenant: a.job.Tenant, Key: a.job.Key, Model: a.job.Model,
		Class: a.job.Class.String(), Pool: a.job.Pool, Worker: a.k.cfg.WorkerID,
		Provider: o.Provider, Target: o.Target, Status: status, FinishReason: o.FinishReason, Usage: o.Usage,
		QueueMS: ms(a.queued), WorkerMS: ms(o.Timing.Worker), ModelMS: ms(o.Timing.Model), Time: time.Now().UTC(),
	}
	if failure != nil {
		r.Error = failure.Code
		if r.Error == "" {
			r.Error = failure.Type
		}
	}
	return r
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

const (
	usageWindow = 100 * time.Millisecond // records of a tenant within it share a message
	usageMany   = 64                     // so many records are sent without waiting further,
	usageFull   = 32 << 10               // and so many bytes
	usageAgain  = 2 * time.Second        // a message that was not confirmed is published again
)

// usageLog stores usage records, those of one tenant together when many come, and
// tells when each is stored. Messages are under way together, none waited for
// alone.
type usageLog struct {
	publish func(tenant string, number uint64, lines []byte) // failing shows as a missing ack
	stored  func(*Attempt)
	log     *slog.Logger

	mu     sync.Mutex
	open   map[string]*usageBatch // by tenant: not published yet
	sent   map[uint64]*usageBatch // by number: not confirmed yet
	number uint64
	last   time.Time // of the newest publication
	timer  *time.Timer
	armed  bool
	spare  []byte // memory of lines that are stored
}

type usageBatch struct {
	tenant   string
	lines    []byte
	attempts []*Attempt
	at       time.Time // when it was last published
}

func newUsageLog(publish func(string, uint64, []byte), stored func(*Attempt), log *slog.Logger) *usageLog {
	u := &usageLog{
		publish: publish, stored: stored, log: log,
		open: map[string]*usageBatch{}, sent: map[uint64]*usageBatch{},
	}
	u.timer = time.AfterFunc(time.Hour, u.flush)
	u.timer.Stop()
	return u
}

// add stores the record of an attempt; stored is called for it later.
func (u *usageLog) add(a *Attempt, r *UsageRecord) {
	if !u.take(a, r) {
		u.stored(a)
	}
}

// take adds the record to those of its tenant; false if it cannot be encoded.
func (u *usageLog) take(a *Attempt, r *UsageRecord) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.open[r.Tenant]
	if b == nil {
		b = &usageBatch{tenant: r.Tenant, lines: u.spare[:0]}
		u.spare = nil
	}
	var err error
	if b.lines, err = r.appendLine(b.lines); err != nil { // all text was checked; the job must not wait for ever if it was not
		u.log.Error("usage cannot be encoded", "job_id", r.Job, "error", err)
		return false
	}
	u.open[r.Tenant] = b
	b.attempts = append(b.attempts, a)
	switch {
	case len(b.attempts) >= usageMany, len(b.lines) > usageFull, time.Since(u.last) > usageWindow:
		u.flushLocked()
	case !u.armed:
		u.armed = true
		u.timer.Reset(usageWindow)
	}
	return true
}

func (u *usageLog) flush() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.flushLocked()
}

func (u *usageLog) flushLocked() {
	u.timer.Stop()
	u.armed = false
	u.last = time.Now()
	for tenant, b := range u.open {
		delete(u.open, tenant)
		u.number++
		u.sent[u.number] = b
		b.at = u.last
		u.publish(b.tenant, u.number, b.lines)
	}
}

// again publishes what was not confirmed in time, and reports whether there was any.
func (u *usageLog) again(now time.Time) (late bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for number, b := range u.sent {
		if now.Sub(b.at) >= usageAgain {
			late = true
			b.at = now
			u.publish(b.tenant, number, b.lines)
		}
	}
	return late
}

// confirm takes the broker's answer to a message. A refusal, or nobody there, is
// followed by another try.
func (u *usageLog) confirm(number uint64, answer []byte) {
	if !bytes.Contains(answer, []byte(`"seq"`)) {
		return
	}
	u.mu.Lock()
	b := u.sent[number]
	delete(u.sent, number)
	if b != nil && cap(b.lines) > cap(u.spare) {
		u.spare = b.lines
	}
	u.mu.Unlock()
	if b == nil {
		return
	}
	for _, a := range b.attempts {
		u.stored(a)
	}
}

func (k *Consumer) publishUsage(tenant string, number uint64, lines []byte) {
	_ = k.conn.nc.PublishRequest(k.conn.n.usage(tenant), k.usageInbox+"."+strconv.FormatUint(number, 36), lines)
}

func (k *Consumer) onUsageAck(m *nats.Msg) {
	if number, err := strconv.ParseUint(m.Subject[lastToken(m.Subject):], 36, 64); err == nil {
		k.usage.confirm(number, m.Data)
	}
}

// usageStored removes the job of an attempt whose usage is stored.
func (k *Consumer) usageStored(a *Attempt) {
	a.mu.Lock()
	subject, ack := a.ack, a.removeBy
	a.owed, a.removeBy = false, nil
	a.mu.Unlock()
	if ack != nil {
		_ = k.conn.nc.Publish(subject, ack)
	}
	k.finish(a)
}
