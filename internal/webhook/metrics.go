package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/osiris/osiris/pkg/jobs"
)

// metrics counts attempts. No label takes a value from a request or a receiver.
type metrics struct {
	attempts *prometheus.CounterVec
	duration prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "osiris_webhook_attempts_total",
			Help: "Attempts to deliver an event to a webhook, by what became of them: delivered, retried (failed, tried again later), failed (given up).",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "osiris_webhook_attempt_seconds", Help: "Duration of an attempt to deliver an event to a webhook.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30, 60},
		}),
	}
	for _, fate := range []jobs.Fate{jobs.FateDelivered, jobs.FateRetried, jobs.FateFailed} {
		m.attempts.WithLabelValues(string(fate)) // shown as 0 from the start
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.attempts, m.duration} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) unregister(reg prometheus.Registerer) {
	if reg != nil {
		reg.Unregister(m.attempts)
		reg.Unregister(m.duration)
	}
}

func (m *metrics) observe(fate jobs.Fate, took time.Duration) {
	m.attempts.WithLabelValues(string(fate)).Inc()
	m.duration.Observe(took.Seconds())
}
