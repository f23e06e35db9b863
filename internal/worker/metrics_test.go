package worker

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// figures gathers what reg knows, by `name{label=value,...}`.
func figures(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			all[f.GetName()+labels(m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func labels(m *dto.Metric) string {
	var pairs []string
	for _, l := range m.GetLabel() {
		pairs = append(pairs, l.GetName()+"="+l.GetValue())
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	broken := provider.Error{Public: protocol.ErrUpstream("bad"), Fallback: true}
	refused := provider.Error{Public: protocol.ErrInvalid("", "", "odd")}
	w := newTestWorker(t, Config{
		Breaker: Breaker{Failures: 1},
		Providers: []ProviderSpec{
			{Name: "bad", Provider: &scripted{script: []act{failing(broken)}}},
			{Name: "good", Prefix: "good/", Provider: &scripted{script: []act{saying("Hello"), failing(limitedFor(0)), failing(refused), hanging}}, Retries: Retries{Attempts: 1}},
		},
		Models: []Model{{Name: "m", Targets: []Target{{Provider: "bad"}, {Provider: "good", Model: "up"}}}},
	})
	var err error
	if w.metrics, err = newMetrics(reg, w.gate); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"m", "good/secret-name-1", "good/secret-name-2"} {
		_, _, _ = ask(t.Context(), w, jobs.Job{Model: name, Stream: true})
	}
	got := figures(t, reg)
	for name, want := range map[string]float64{
		"osiris_worker_calls_total{model=m,outcome=failed,provider=bad}":        1,
		"osiris_worker_calls_total{model=m,outcome=ok,provider=good}":           1,
		"osiris_worker_calls_total{model=good/*,outcome=limited,provider=good}": 1,
		"osiris_worker_calls_total{model=good/*,outcome=refused,provider=good}": 1,
		"osiris_worker_tokens_total{kind=prompt,model=m,provider=good}":         3,
		"osiris_worker_tokens_total{kind=completion,model=m,provider=good}":     2,
		"osiris_worker_call_seconds{model=m,provider=bad}":                      1,
		"osiris_worker_first_token_seconds{model=m,provider=good}":              1,
		"osiris_worker_breaker_state{model=m,provider=bad,target=m}":            1,
		"osiris_worker_breaker_state{model=m,provider=good,target=up}":          0,
		"osiris_worker_target_in_use{model=m,provider=good,target=up}":          0,
		"osiris_worker_jobs_waiting{}":                                          0,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v (there: %v), not %v", name, value, ok, want)
		}
	}
	for name := range got {
		if strings.Contains(name, "secret-name") {
			t.Errorf("a client's word is a label: %s", name)
		}
	}
	if _, err := newMetrics(reg, w.gate); err == nil {
		t.Error("registered twice")
	}
}
