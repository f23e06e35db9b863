package frontend

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the frontend does. No label takes a value from a request.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	first    *prometheus.HistogramVec
	open     prometheus.Gauge
	gone     prometheus.Counter
	denied   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, bodies *bodies) (*metrics, error) {
	seconds := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "osiris_http_requests_total", Help: "Requests by route, status (499: the client left) and class.",
		}, []string{"route", "status", "class"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "osiris_http_request_duration_seconds", Help: "From a request's arrival to the end of its answer.", Buckets: seconds,
		}, []string{"route", "class"}),
		first: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "osiris_http_first_chunk_seconds", Help: "From a streaming request's arrival to the first chunk.", Buckets: seconds,
		}, []string{"class"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "osiris_http_open_answers", Help: "Requests that wait for a job or stream its events.",
		}),
		gone: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "osiris_http_clients_gone_total", Help: "Clients that left before their answer was complete, or stopped reading.",
		}),
		denied: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "osiris_http_auth_failures_total", Help: "Requests without a valid key.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	taken := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "osiris_http_body_bytes", Help: "Bytes of large request bodies that are in memory or announced.",
	}, func() float64 { return float64(bodies.inUse()) })
	for _, c := range []prometheus.Collector{taken, m.requests, m.duration, m.first, m.open, m.gone, m.denied} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observe counts a call that has ended.
func (m *metrics) observe(c *call, took time.Duration) {
	m.requests.WithLabelValues(c.route, strconv.Itoa(c.status), c.class).Inc()
	m.duration.WithLabelValues(c.route, c.class).Observe(took.Seconds())
	if c.status == statusGone {
		m.gone.Inc()
	}
}

func (m *metrics) firstToken(c *call) {
	m.first.WithLabelValues(c.class).Observe(time.Since(c.began).Seconds())
}
