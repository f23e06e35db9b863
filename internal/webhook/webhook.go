package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/osiris/osiris/pkg/jobs"
)

// Config configures deliveries. The zero value of every field is a sensible default.
type Config struct {
	AllowPrivate bool            // addresses inside private networks, and http
	Timeout      time.Duration   // of an attempt, from the dial to the answer; 15 s
	Concurrency  int             // attempts at once; jobs.CourierConfig has the default
	Version      string          // of the program, for the User-Agent
	Pauses       []time.Duration // see jobs.CourierConfig
}

const defaultTimeout = 15 * time.Second

// Deliverer delivers events until it is stopped.
type Deliverer struct {
	poster  *poster
	courier *jobs.Courier
	metrics *metrics
	log     *slog.Logger
}

// Start begins to deliver. Any number of processes may do so together. reg may be
// nil: nothing is counted then.
func Start(ctx context.Context, cfg Config, conn *jobs.Conn, log *slog.Logger, reg prometheus.Registerer) (*Deliverer, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("start webhooks: %w", err)
	}
	d := &Deliverer{poster: newPoster(cfg), metrics: m, log: log}
	d.courier, err = jobs.NewCourier(ctx, conn, jobs.CourierConfig{
		Concurrency: cfg.Concurrency, Pauses: cfg.Pauses, Ended: d.ended, Logger: log,
	}, d.poster.post)
	if err != nil {
		m.unregister(reg)
		return nil, fmt.Errorf("start webhooks: %w", err)
	}
	return d, nil
}

// Stop lets attempts end until ctx does, then breaks them off; they are made again
// by another process, or after the next start.
func (d *Deliverer) Stop(ctx context.Context) {
	d.courier.Stop(ctx)
	d.poster.close()
}

// ended counts and logs an attempt.
func (d *Deliverer) ended(v *jobs.Delivery, r jobs.Receipt, fate jobs.Fate, pause time.Duration) {
	if !v.Test { // nobody is to be alarmed by a test
		d.metrics.observe(fate, r.Took)
	}
	attrs := []slog.Attr{
		slog.String("webhook", v.Webhook.ID), slog.String("tenant", v.Webhook.Tenant), slog.String("event", v.Event),
		slog.Int("status", r.Status), slog.Duration("took", r.Took.Round(100*time.Microsecond)),
	}
	level, message := slog.LevelDebug, "webhook delivered"
	switch {
	case r.Gone && !v.Test:
		level, message = slog.LevelWarn, "webhook switched off: its receiver is gone"
	case fate == jobs.FateRetried:
		level, message = slog.LevelWarn, "webhook not delivered, tried again later"
		attrs = append(attrs, slog.String("fault", r.Fault), slog.Duration("pause", pause.Round(time.Second)))
	case v.Test && !r.Delivered:
		level, message = slog.LevelWarn, "test of a webhook failed"
		attrs = append(attrs, slog.String("fault", r.Fault))
	case fate == jobs.FateFailed:
		level, message = slog.LevelError, "webhook not delivered and given up"
		attrs = append(attrs, slog.String("fault", r.Fault))
	}
	d.log.LogAttrs(context.Background(), level, message, attrs...)
}
