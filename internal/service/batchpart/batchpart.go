// Package batchpart is the driver of batches as a part of a program. It runs beside
// the frontend, with a client of its own, so that the events of a batch's lines are
// in nobody's way. It starts before the frontend and stops after it.
package batchpart

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/osiris/osiris/internal/batch"
	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/pkg/jobs"
)

// Starter starts a driver as the configuration says.
func Starter() service.Starter {
	return service.Starter{Start: func(ctx context.Context, h *service.Host) (service.Part, error) { return start(ctx, h) }}
}

// part is a driver, what it stands on and the goroutine that runs it.
type part struct {
	client    *jobs.Client
	catalogue *jobs.Catalogue
	keys      *jobs.Keyring
	cancel    context.CancelFunc
	runs      sync.WaitGroup
}

func start(ctx context.Context, h *service.Host) (*part, error) {
	ctx, cancel := context.WithTimeout(ctx, service.StartTime)
	defer cancel()
	p := &part{}
	if err := p.subscribe(ctx, h); err != nil {
		p.close()
		return nil, err
	}
	b := h.Config.Batches
	driver, err := batch.New(batch.Config{
		Running: b.Running, LinesMost: b.LinesInQueue, MixedModels: b.MixedModels, Drain: b.Drain,
		MaxBody: int64(h.Config.Frontend.MaxBody), DefaultPool: h.Config.Worker.Pool, AllowAnonymous: h.Config.Frontend.AllowAnonymous,
	}, h.Conn, p.client, p.catalogue, p.keys, h.Log, h.Metrics)
	if err != nil {
		p.close()
		return nil, fmt.Errorf("start the driver of batches: %w", err)
	}
	var run context.Context
	run, p.cancel = context.WithCancel(context.Background())
	p.runs.Go(func() { driver.Run(run) })
	return p, nil
}

func (p *part) subscribe(ctx context.Context, h *service.Host) (err error) {
	if p.keys, err = h.Conn.WatchKeys(ctx); err != nil {
		return fmt.Errorf("watch keys: %w", err)
	}
	if p.catalogue, err = h.Conn.WatchCatalogue(ctx); err != nil {
		return fmt.Errorf("watch models: %w", err)
	}
	p.client, err = jobs.NewClient(ctx, h.Conn, jobs.ClientConfig{MaxWaiting: h.Config.Frontend.MaxWaiting, Logger: h.Log})
	if err != nil {
		return fmt.Errorf("subscribe to events of batches: %w", err)
	}
	return nil
}

// Apply does nothing: what a driver is told waits for a restart.
func (p *part) Apply(context.Context, *config.Config) error { return nil }

// Stop hands the batches over to other drivers, at once.
func (p *part) Stop(context.Context) error {
	p.cancel()
	p.runs.Wait()
	p.close()
	return nil
}

// Grace is short: nothing of a batch is lost, and its lines go on.
func (p *part) Grace(*config.Config) time.Duration { return 2 * time.Second }

func (p *part) close() {
	if p.client != nil {
		p.client.Close()
	}
	if p.catalogue != nil {
		p.catalogue.Close()
	}
	if p.keys != nil {
		p.keys.Close()
	}
}
