package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

// metrics are the worker's figures. Their model label is a name of the catalogue,
// or the prefix that routed it: what a client makes up never becomes a label.
type metrics struct {
	calls      *prometheus.CounterVec
	tokens     *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	firstToken *prometheus.HistogramVec

	stateDesc, inUseDesc, waitingDesc *prometheus.Desc
	gate                              *gate
}

// newMetrics registers the worker's figures with reg, which may be nil.
func newMetrics(reg prometheus.Registerer, g *gate) (*metrics, error) {
	labels := []string{"model", "provider"}
	buckets := []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
	m := &metrics{
		gate: g,
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "osiris_worker_calls_total",
			Help: "Calls to providers by how they ended: ok, failed, limited, refused, abandoned.",
		}, append(labels, "outcome")),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "osiris_worker_tokens_total",
			Help: "Tokens that providers reported, by kind: prompt, completion.",
		}, append(labels, "kind")),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "osiris_worker_call_seconds", Help: "Duration of calls to providers.", Buckets: buckets,
		}, labels),
		firstToken: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "osiris_worker_first_token_seconds", Help: "Time from a call to the first of its answer.", Buckets: buckets,
		}, labels),
		stateDesc: prometheus.NewDesc("osiris_worker_breaker_state",
			"Circuit breaker of a target: 0 closed, 1 open, 2 half-open.", append(labels, "target"), nil),
		inUseDesc: prometheus.NewDesc("osiris_worker_target_in_use",
			"Calls to a target that are under way.", append(labels, "target"), nil),
		waitingDesc: prometheus.NewDesc("osiris_worker_jobs_waiting",
			"Jobs that wait for a target with a free place.", nil, nil),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.calls, m.tokens, m.duration, m.firstToken, m} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("register worker metrics: %w", err)
	}
	return m, nil
}

// call counts one call to a provider.
func (m *metrics) call(model, name string, fault *provider.Error, err error, o *output, took time.Duration) {
	m.calls.WithLabelValues(model, name, outcome(fault, err)).Inc()
	m.duration.WithLabelValues(model, name).Observe(took.Seconds())
	if o.opened {
		m.firstToken.WithLabelValues(model, name).Observe(o.first.Seconds())
	}
	if u := o.Usage(); u != (protocol.Usage{}) {
		m.tokens.WithLabelValues(model, name, "prompt").Add(float64(max(u.PromptTokens, 0)))
		m.tokens.WithLabelValues(model, name, "completion").Add(float64(max(u.CompletionTokens, 0)))
	}
}

func outcome(fault *provider.Error, err error) string {
	switch {
	case err != nil:
		return "abandoned"
	case fault == nil:
		return "ok"
	case fault.Public.Status >= 500:
		return "failed"
	case fault.Public.Status == 429:
		return "limited"
	}
	return "refused"
}

// Describe implements prometheus.Collector for the state of the targets.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.stateDesc
	ch <- m.inUseDesc
	ch <- m.waitingDesc
}

// Collect implements prometheus.Collector. Of targets that only a prefix routes,
// the worst state and the sum of the calls are shown.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for key, s := range m.gate.survey() {
		values := []string{key.model, key.provider, key.target}
		ch <- prometheus.MustNewConstMetric(m.stateDesc, prometheus.GaugeValue, float64(s.state), values...)
		ch <- prometheus.MustNewConstMetric(m.inUseDesc, prometheus.GaugeValue, float64(s.inUse), values...)
	}
	ch <- prometheus.MustNewConstMetric(m.waitingDesc, prometheus.GaugeValue, float64(m.gate.waiting()))
}

// surveyKey is how a target appears in the metrics.
type surveyKey struct{ model, provider, target string }

type surveyed struct {
	state breakerState
	inUse int
}

// survey returns the state of every target.
func (g *gate) survey() map[surveyKey]surveyed {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[surveyKey]surveyed, len(g.targets))
	for _, c := range g.targets {
		key := surveyKey{model: c.label, provider: c.key.provider, target: c.key.model}
		if !c.pinned {
			key.target = c.label
		}
		s := all[key]
		s.state, s.inUse = max(s.state, c.breaker.state), s.inUse+c.inUse
		all[key] = s
	}
	return all
}
