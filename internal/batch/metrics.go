package batch

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a driver counts.
type metrics struct {
	running prometheus.Gauge
	waiting prometheus.Gauge
	lines   *prometheus.CounterVec // by outcome: completed, failed, retried
	ended   *prometheus.CounterVec // by status
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	m := &metrics{
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "osiris_batches_running", Help: "Batches that this process drives.",
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "osiris_batches_waiting", Help: "Batches that wait here for their turn.",
		}),
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "osiris_batch_lines_total", Help: "Lines of batches by outcome: completed, failed, retried.",
		}, []string{"outcome"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "osiris_batches_ended_total", Help: "Batches that ended, by status.",
		}, []string{"status"}),
	}
	return m, errors.Join(reg.Register(m.running), reg.Register(m.waiting), reg.Register(m.lines), reg.Register(m.ended))
}
