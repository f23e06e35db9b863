package service

import (
	"context"
	"time"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/internal/worker"
)

// workerPart is the worker of a program.
type workerPart struct {
	worker *worker.Worker
	client *upstream.Client
}

func startWorker(ctx context.Context, r *instance) (*workerPart, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	p := &workerPart{client: upstream.New(upstream.Config{})}
	wc, err := workerConfig(r.Config, p.client)
	if err == nil {
		p.worker, err = worker.New(ctx, wc, r.conn, r.log, r.metrics)
	}
	if err != nil {
		p.client.Close()
		return nil, err
	}
	r.info.Models = modelNames(wc)
	return p, nil
}

// modelNames is what people may ask for, as far as it is known without asking the
// providers.
func modelNames(wc worker.Config) []string {
	var names []string
	for _, m := range wc.Models {
		names = append(names, m.Name)
	}
	for _, s := range wc.Providers {
		switch {
		case s.KeepPrefix:
			names = append(names, s.Name)
		case s.Discover:
			names = append(names, s.Prefix+"…")
		}
	}
	return names
}

func (p *workerPart) apply(ctx context.Context, cfg *config.Config) error {
	wc, err := workerConfig(cfg, p.client)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return p.worker.Reload(ctx, wc)
}

func (p *workerPart) stop(ctx context.Context) error {
	err := p.worker.Stop(ctx)
	p.client.Close()
	return err
}

func (p *workerPart) grace(cfg *config.Config) time.Duration { return cfg.Worker.ShutdownGrace }
