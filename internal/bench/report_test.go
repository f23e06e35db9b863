package bench_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/bench"
	"github.com/osiris/osiris/internal/bench/load"
)

func measured(system string, repetition int, perSec, cpu, first float64) bench.Measurement {
	return bench.Measurement{
		Scenario: "S", System: system, Repetition: repetition,
		Load: &load.Result{
			Kind: load.Stream, Requests: 10, Begun: 10, RequestsPerSec: perSec,
			First: &load.Times{P50: first, P99: 2 * first}, Total: &load.Times{P50: 5 * first, P99: 6 * first},
		},
		Cost:      &bench.Cost{PerRequest: cpu, PerChunk: cpu / 10, Cores: 0.5, Before: 1e6, Peak: 3e6, PerStream: 2e3, Parts: map[string]float64{"a": cpu / 4, "b": 3 * cpu / 4}},
		Generator: &bench.Generator{PerRequest: 7, Cores: 0.2, Busy: 0.5},
	}
}

// TestRatios are made within a repetition, and then their median.
func TestRatios(t *testing.T) {
	all := []bench.Measurement{
		measured("floor", 1, 100, 10, 1), measured("up", 1, 50, 20, 2),
		measured("up", 2, 100, 60, 4), measured("floor", 2, 400, 20, 1),
		measured("floor", 3, 100, 10, 2), measured("up", 3, 100, 15, 2),
		measured("up", 4, 1, 1, 1), // its neighbour failed
		{Scenario: "S", System: "floor", Repetition: 4, Failure: "no"},
	}
	s := bench.Summarize(all, "floor")
	if len(s) != 2 || s[0].Runs != 3 || s[1].Runs != 4 {
		t.Fatalf("%+v", s)
	}
	up := s[1]
	for name, want := range map[string]bench.Spread{
		"requests_per_s": {0.5, 0.25, 1}, "cpu_us_per_request": {2, 1.5, 3}, "cpu_us_per_chunk": {2, 1.5, 3},
	} {
		if got := up.Ratios[name]; got != want {
			t.Errorf("ratio of %s is %v, want %v", name, got, want)
		}
	}
	if got, want := up.Added["first_token_p50_ms"], (bench.Spread{Median: 1, Lowest: 0, Highest: 3}); got != want {
		t.Errorf("added to the first token: %v, want %v", got, want)
	}
	if got, want := up.Figures["cpu_us_per_request"], (bench.Spread{Median: 17.5, Lowest: 1, Highest: 60}); got != want {
		t.Errorf("CPU per request: %v, want %v", got, want)
	}
	var out bytes.Buffer
	bench.WriteTables(&out, []bench.Scenario{{Name: "S", What: "what it is"}, {Name: "none"}}, s, "floor")
	want := `
S: what it is

  system  requests/s  chunks/s  first token p50   p99  total p50   p90    p99  p99.9 ms  CPU µs/request  CPU µs/chunk  memory MB  KB/stream  failed
   floor         100         0             1.00  2.00       5.00  0.00   6.00      0.00              10           1.0          3        2.0       0
      up          75         0             2.00  4.00      10.00  0.00  12.00      0.00              18           1.8          3        2.0       0

up / floor: requests/s ×0.50 [0.25..1.00], first token p50 +1.00 ms [+0.00..+3.00], first token p99 +2.00 ms [+0.00..+6.00], total p50 +5.00 ms [+0.00..+15.00], total p99 +6.00 ms [+0.00..+18.00], CPU per request ×2.00 [1.50..3.00], CPU per chunk ×2.00 [1.50..3.00], memory ×1.00 [1.00..1.00], memory per stream ×1.00 [1.00..1.00]
`
	if out.String() != want {
		t.Errorf("got %s", out.String())
	}
}

func TestReport(t *testing.T) {
	m := measured("up", 1, 100, 10, 1)
	m.Load.Failed, m.Load.Errors = 3, map[string]int64{"http_500": 2, "timeout": 1}
	var out bytes.Buffer
	bench.WriteReport(&out, &m)
	for _, want := range []string{"10 right and measured, 10 begun, 3 failed", "2 http_500", "1 timeout", "100.0 requests/s", "p50 1.00, p90 0.00, p99 2.00", "10.0 µs CPU per request, 1.00 per chunk", "2.0 KB per stream", "50 % busy"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}

func TestDoubts(t *testing.T) {
	for want, change := range map[string]func(m *bench.Measurement){
		"":                         func(*bench.Measurement) {},
		"3 of 10 requests failed":  func(m *bench.Measurement) { m.Load.Failed, m.Load.FirstError = 3, "x" },
		"sent late":                func(m *bench.Measurement) { m.Load.Late = &load.Times{P99: 3} },
		"more of the busy machine": func(m *bench.Measurement) { m.Generator.Busy, m.Generator.Cores = 0.95, 0.9 },
		"may be the bottleneck": func(m *bench.Measurement) {
			m.Generator.Busy, m.Generator.Cores, m.Cost = 0.95, 0.9*float64(runtime.NumCPU()), nil
		},
		"took 20 % of the machine": func(m *bench.Measurement) { m.Generator.Foreign = 0.2 },
	} {
		m := measured("up", 1, 100, 10, 1)
		change(&m)
		got := strings.Join(m.Doubts(), "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}
