package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/internal/embedded"
	"github.com/osiris/osiris/pkg/jobs"
)

// queue looks into NATS as an operator does: at the streams, from outside.
type queue struct {
	at embedded.Connection
	js jetstream.JetStream
}

// openQueue looks into the NATS whose data is in dir.
func openQueue(t *testing.T, dir string) *queue {
	t.Helper()
	at, err := embedded.ReadConnection(dir)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(at.URL, nats.Token(at.Token), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatalf("connect to nats: %v", err)
	}
	t.Cleanup(func() {
		closed := make(chan struct{})
		nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
		nc.Close()
		<-closed
	})
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return &queue{at: at, js: js}
}

// depth counts the jobs in all queues: those that wait and those that run.
func (q *queue) depth(ctx context.Context) (int, error) {
	names := q.js.StreamNames(ctx)
	queues, depth := 0, 0
	for name := range names.Name() {
		if !strings.HasPrefix(name, "osiris-jobs-") {
			continue
		}
		stream, err := q.js.Stream(ctx, name)
		if err != nil {
			return 0, err
		}
		queues++
		depth += int(stream.CachedInfo().State.Msgs)
	}
	if err := names.Err(); err != nil {
		return 0, err
	}
	if queues == 0 {
		return 0, errors.New("there are no queues")
	}
	return depth, nil
}

// await waits until exactly so many jobs wait or run.
func (q *queue) await(t *testing.T, limit time.Duration, want int) {
	t.Helper()
	eventually(t, limit, fmt.Sprintf("%d jobs in the queues", want), func(ctx context.Context) error {
		depth, err := q.depth(ctx)
		if err == nil && depth != want {
			err = fmt.Errorf("there are %d", depth)
		}
		return err
	})
}

// usage returns the records of all attempts for a model, by the name clients use.
func (q *queue) usage(ctx context.Context, model string) ([]jobs.UsageRecord, error) {
	stream, err := q.js.Stream(ctx, "osiris-usage")
	if err != nil {
		return nil, err
	}
	state := stream.CachedInfo().State
	var records []jobs.UsageRecord
	for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
		msg, err := stream.GetMsg(ctx, seq)
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(msg.Data) { // records that came together share a message
			var r jobs.UsageRecord
			if err := json.Unmarshal(line, &r); err != nil {
				return nil, err
			}
			if r.Model == model {
				records = append(records, r)
			}
		}
	}
	return records, nil
}

// awaitUsage waits for exactly one record for a model.
func (q *queue) awaitUsage(t *testing.T, model string) jobs.UsageRecord {
	t.Helper()
	var records []jobs.UsageRecord
	eventually(t, 2*soon, "usage of "+model, func(ctx context.Context) (err error) {
		if records, err = q.usage(ctx, model); err == nil && len(records) != 1 {
			err = fmt.Errorf("%d records: %+v", len(records), records)
		}
		return err
	})
	return records[0]
}

// conn is a connection as the programs have it, for what only they can do.
func (q *queue) conn(t *testing.T) *jobs.Conn {
	t.Helper()
	c, err := jobs.Connect(t.Context(), jobs.Config{URL: q.at.URL, Token: q.at.Token, Name: "e2e"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
