package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// WorkerInfo is what a worker says of itself every ten seconds.
type WorkerInfo struct {
	ID      string    `json:"id"`
	Pool    string    `json:"pool"`
	Host    string    `json:"host,omitempty"`
	Version string    `json:"version,omitempty"`
	Slots   int       `json:"slots"`
	Busy    int       `json:"busy"` // slots in use when it said so
	Started time.Time `json:"started"`
	Seen    time.Time `json:"-"` // when it last said so, by the broker's clock
}

// announceWorker says that the worker is there. What it said is forgotten after
// 30 s, so it is said again every ten. It does not retry: the next one will do.
func (c *Conn) announceWorker(ctx context.Context, info WorkerInfo) error {
	if err := checkToken("worker", info.ID); err != nil {
		return fmt.Errorf("announce worker: %w", err)
	}
	value, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("announce worker: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if _, err := c.workers.Put(ctx, info.ID, value); err != nil {
		return fmt.Errorf("announce worker: %w", err)
	}
	return nil
}

// withdrawWorker says that the worker is leaving.
func (c *Conn) withdrawWorker(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if err := c.workers.Delete(ctx, id); err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return fmt.Errorf("withdraw worker: %w", err)
	}
	return nil
}

// Workers lists the workers that said within the last 30 s that they are there, by
// pool and id. It costs a round trip for each, and keeps trying until ctx ends.
func (c *Conn) Workers(ctx context.Context) ([]WorkerInfo, error) {
	var all []WorkerInfo
	err := c.walk(ctx, c.n.workersBucket(), func(m *stored) error {
		var info WorkerInfo
		if err := json.Unmarshal(m.Data, &info); err != nil {
			c.log.Error("bucket holds what cannot be read", "subject", m.Subject, "error", err)
			return nil
		}
		info.Seen = m.Time
		all = append(all, info)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	slices.SortFunc(all, func(a, b WorkerInfo) int {
		return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}
