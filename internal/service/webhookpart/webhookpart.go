// Package webhookpart is the delivery to webhooks as a part of a program. It runs
// beside the frontend, and stops after it.
package webhookpart

import (
	"context"
	"time"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/webhook"
)

// Starter starts deliveries as the configuration says.
func Starter() service.Starter { return service.Starter{Start: start} }

type part struct{ deliverer *webhook.Deliverer }

func start(ctx context.Context, h *service.Host) (service.Part, error) {
	ctx, cancel := context.WithTimeout(ctx, service.StartTime)
	defer cancel()
	w := h.Config.Webhooks
	d, err := webhook.Start(ctx, webhook.Config{
		AllowPrivate: w.AllowPrivate, Timeout: w.Timeout, Concurrency: w.Concurrency, Version: service.Version(),
	}, h.Conn, h.Log, h.Metrics)
	if err != nil {
		return nil, err
	}
	return part{d}, nil
}

// Apply does nothing: every setting of webhooks waits for a restart.
func (p part) Apply(context.Context, *config.Config) error { return nil }

// Stop breaks deliveries off that outlast ctx; another process makes them.
func (p part) Stop(ctx context.Context) error {
	p.deliverer.Stop(ctx)
	return nil
}

// Grace is short: what is broken off is not lost.
func (p part) Grace(*config.Config) time.Duration { return 2 * time.Second }
