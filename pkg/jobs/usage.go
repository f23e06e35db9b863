package jobs

import (
	"bytes"
	"time"

	"github.com/go-json-experiment/json"
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

// UsageRecord is what the usage stream keeps of each attempt that began. A record
// may be stored twice when an ack of the broker was lost: job and attempt identify it.
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

func (a *Attempt) usageRecord(o Outcome, status Status, failure *protocol.Error) ([]byte, error) {
	r := UsageRecord{
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
	return json.Marshal(&r)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

const usageAgain = 2 * time.Second // a record that was not confirmed is published again

// storeUsage publishes an attempt's usage record. Records of many attempts are
// under way together; onUsageAck finishes each.
func (k *Consumer) storeUsage(a *Attempt, now time.Time) {
	a.mu.Lock()
	record := a.usage
	a.usageAt = now
	a.mu.Unlock()
	if record == nil {
		return
	}
	// A failure shows as a missing ack: tend publishes again.
	_ = k.conn.nc.PublishRequest(k.conn.n.usage(a.job.Tenant, a.job.ID), k.usageInbox+"."+a.key(), record)
}

// onUsageAck removes the job whose usage was stored.
func (k *Consumer) onUsageAck(m *nats.Msg) {
	k.mu.Lock()
	a := k.attempts[m.Subject[lastToken(m.Subject):]]
	k.mu.Unlock()
	if a == nil || !bytes.Contains(m.Data, []byte(`"seq"`)) {
		return // refused, or nobody there: tend publishes again
	}
	k.usageStored(a)
}

func (k *Consumer) usageStored(a *Attempt) {
	a.mu.Lock()
	ack := a.removeBy
	a.usage, a.removeBy = nil, nil
	a.mu.Unlock()
	if ack != nil {
		_ = k.conn.nc.Publish(a.ack, ack)
	}
	k.finish(a)
}
