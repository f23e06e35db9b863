package jobs

import (
	"context"
	"time"
)

// WorkerInfo is what a worker says of itself every ten seconds.
type WorkerInfo struct {
	ID      string    `json:"id"`
	Pool    string    `json:"pool"`
	Host    string    `json:"host,omitempty"`
	Slots   int       `json:"slots"`
	Busy    int       `json:"busy"`
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started"`
	Seen    time.Time `json:"-"` // when it last said so, by the broker's clock
}

func (c *Conn) announceWorker(ctx context.Context, info WorkerInfo) error { return nil }
func (c *Conn) withdrawWorker(ctx context.Context, id string) error       { return nil }

// Workers lists the workers that announced themselves lately.
func (c *Conn) Workers(ctx context.Context) ([]WorkerInfo, error) { return nil, nil }
