// Package workerpart is the worker as a part of a program, with the adapters that the
// configuration asks for. No other package knows an adapter.
package workerpart

import (
	"context"
	"time"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/worker"
)

// Starter starts a worker as the configuration says.
func Starter() service.Starter {
	return service.Starter{Start: func(ctx context.Context, h *service.Host) (service.Part, error) { return start(ctx, h) }}
}

// part is a worker and the client that its adapters share.
type part struct {
	worker *worker.Worker
	client *upstream.Client
}

func start(ctx context.Context, h *service.Host) (*part, error) {
	ctx, cancel := context.WithTimeout(ctx, service.StartTime)
	defer cancel()
	p := &part{client: upstream.New(upstream.Config{Prompt: h.Conn.Near()})}
	wc, err := workerConfig(h.Config, p.client)
	if err == nil {
		p.worker, err = worker.New(ctx, wc, h.Conn, h.Log, h.Metrics)
	}
	if err != nil {
		p.client.Close()
		return nil, err
	}
	h.Info.Models = p.worker.Models
	return p, nil
}

func (p *part) Apply(ctx context.Context, cfg *config.Config) error {
	wc, err := workerConfig(cfg, p.client)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, service.StartTime)
	defer cancel()
	return p.worker.Reload(ctx, wc)
}

func (p *part) Stop(ctx context.Context) error {
	err := p.worker.Stop(ctx)
	p.client.Close()
	return err
}

func (p *part) Grace(cfg *config.Config) time.Duration { return cfg.Worker.ShutdownGrace }
