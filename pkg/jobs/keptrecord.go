package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

// record is a kept job as it was submitted. It never changes.
type record struct {
	job      *Job
	frontend string   // that submitted it
	ref      *bodyRef // of a large body
	seq      uint64   // in the stream of kept jobs
	stored   time.Time
}

// deadline is when the job is over, by the broker's clock; zero: never.
func (r *record) deadline() time.Time {
	if r.job.Timeout <= 0 {
		return time.Time{}
	}
	return r.stored.Add(r.job.Timeout)
}

// readRecord reads a record from any replica, or the leader's word that there is
// none (ErrNotKept). One that was deleted just now may still be seen: its result
// says so.
func (c *Conn) readRecord(ctx context.Context, tenant string, id ID) (*record, error) {
	m, err := c.anyGet(ctx, c.n.keptStream(), c.n.record(tenant, id))
	if errors.Is(err, errNotStored) {
		m, err = c.anyGet(ctx, c.n.keptStream(), c.n.hidden(tenant, id))
	}
	if errors.Is(err, errNotStored) {
		return nil, ErrNotKept
	}
	if err != nil {
		return nil, err
	}
	return openRecord(m)
}

func openRecord(m *stored) (*record, error) {
	job, frontend, ref, err := decodeJob(m.Data)
	if err != nil {
		return nil, fmt.Errorf("read kept job: %w", err)
	}
	if job.Keep == nil {
		return nil, fmt.Errorf("read kept job: %w", errBadJob)
	}
	return &record{job: job, frontend: frontend, ref: ref, seq: m.Seq, stored: m.Time}, nil
}

// readMetadata returns the metadata that was set after the job was made; nil if
// none was.
func (c *Conn) readMetadata(ctx context.Context, tenant string, id ID) (*map[string]string, error) {
	m, err := c.leaderGet(ctx, c.n.keptStream(), question{LastFor: c.n.metadata(tenant, id)})
	if errors.Is(err, errNotStored) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	set := new(map[string]string)
	if err := json.Unmarshal(m.Data, set); err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	return set, nil
}

// anyGet reads the last message of a subject whose messages never change: any
// replica's copy will do, and comes without the leader's base64. Only the leader's
// word counts for "not there" (errNotStored).
func (c *Conn) anyGet(ctx context.Context, stream, subject string) (*stored, error) {
	direct, cancel := context.WithTimeout(ctx, time.Second)
	m, err := c.nc.RequestWithContext(direct, c.apiPrefix+"DIRECT.GET."+stream+"."+subject, nil)
	cancel()
	if err == nil {
		if s, ok := directMessage(m, stream); ok {
			return s, nil
		}
	}
	return c.leaderGet(ctx, stream, question{LastFor: subject})
}

// directMessage reads the answer to a direct get; ok is false if it is no message.
func directMessage(m *nats.Msg, stream string) (s *stored, ok bool) {
	if m.Header.Get("Status") != "" || m.Header.Get(nats.JSStream) != stream {
		return nil, false
	}
	seq, err := strconv.ParseUint(m.Header.Get(nats.JSSequence), 10, 64)
	if err != nil {
		return nil, false
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(nats.JSTimeStamp))
	if err != nil {
		return nil, false
	}
	return &stored{Subject: m.Header.Get(nats.JSSubject), Seq: seq, Data: m.Data, Time: at}, true
}
