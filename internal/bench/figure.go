package bench

import (
	"slices"

	"github.com/osiris/osiris/internal/bench/load"
)

// figure is one number of a measurement.
type figure struct {
	name   string // in JSON
	head   string // above its column
	digits int    // behind the point
	of     func(m *Measurement) (float64, bool)
}

func timesFigure(name, head string, of func(r *load.Result) *load.Times, quantile func(t *load.Times) float64) figure {
	return figure{name, head, 2, func(m *Measurement) (float64, bool) {
		t := of(m.Load)
		if t == nil {
			return 0, false
		}
		return quantile(t), true
	}}
}

func costFigure(name, head string, digits int, of func(c *Cost) float64) figure {
	return figure{name, head, digits, func(m *Measurement) (float64, bool) {
		if m.Cost == nil {
			return 0, false
		}
		v := of(m.Cost)
		return v, v > 0
	}}
}

func p50(t *load.Times) float64  { return t.P50 }
func p90(t *load.Times) float64  { return t.P90 }
func p99(t *load.Times) float64  { return t.P99 }
func p999(t *load.Times) float64 { return t.P999 }

func firstToken(r *load.Result) *load.Times { return r.First }
func gaps(r *load.Result) *load.Times       { return r.Gap }
func total(r *load.Result) *load.Times      { return r.Total }
func accepted(r *load.Result) *load.Times   { return r.Accepted }

// figures are the columns of a table, in their order; one that no measurement has is
// left out.
func figures() []figure {
	batch := func(name, head string, of func(b *load.BatchTimes) float64) figure {
		return figure{name, head, 1, func(m *Measurement) (float64, bool) {
			if m.Load.Batch == nil {
				return 0, false
			}
			return of(m.Load.Batch), true
		}}
	}
	return []figure{
		{"requests_per_s", "requests/s", 0, func(m *Measurement) (float64, bool) { return m.Load.RequestsPerSec, true }},
		{"chunks_per_s", "chunks/s", 0, func(m *Measurement) (float64, bool) { return m.Load.ChunksPerSec, m.Load.Kind == load.Stream }},
		timesFigure("accepted_p50_ms", "accepted p50", accepted, p50),
		timesFigure("accepted_p99_ms", "p99", accepted, p99),
		timesFigure("first_token_p50_ms", "first token p50", firstToken, p50),
		timesFigure("first_token_p99_ms", "p99", firstToken, p99),
		timesFigure("gap_p50_ms", "gap p50", gaps, p50),
		timesFigure("gap_p99_ms", "p99", gaps, p99),
		timesFigure("total_p50_ms", "total p50", total, p50),
		timesFigure("total_p90_ms", "p90", total, p90),
		timesFigure("total_p99_ms", "p99", total, p99),
		timesFigure("total_p99_9_ms", "p99.9 ms", total, p999),
		batch("upload_s", "upload s", func(b *load.BatchTimes) float64 { return b.Upload }),
		batch("run_s", "run s", func(b *load.BatchTimes) float64 { return b.Run }),
		batch("download_s", "download s", func(b *load.BatchTimes) float64 { return b.Download }),
		costFigure("cpu_us_per_request", "CPU µs/request", 0, func(c *Cost) float64 { return c.PerRequest }),
		costFigure("cpu_us_per_chunk", "CPU µs/chunk", 1, func(c *Cost) float64 { return c.PerChunk }),
		costFigure("memory_mb", "memory MB", 0, func(c *Cost) float64 { return float64(c.Peak) / 1e6 }),
		costFigure("memory_kb_per_stream", "KB/stream", 1, func(c *Cost) float64 { return float64(c.PerStream) / 1e3 }),
	}
}

// ratioFigures are compared as multiples of the yardstick's, addedFigures as what is added.
func ratioFigures() []string {
	return []string{"requests_per_s", "cpu_us_per_request", "cpu_us_per_chunk", "memory_mb", "memory_kb_per_stream"}
}

func addedFigures() []string {
	return []string{"first_token_p50_ms", "first_token_p99_ms", "total_p50_ms", "total_p99_ms"}
}

// Spread is a median with the lowest and the highest.
type Spread struct {
	Median  float64 `json:"median"`
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
}

// spreadOf returns the spread of values, which are at least one.
func spreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{Median: (sorted[n/2] + sorted[(n-1)/2]) / 2, Lowest: sorted[0], Highest: sorted[n-1]}
}

// Summary is what the repetitions of one scenario on one system came to.
type Summary struct {
	Scenario string            `json:"scenario"`
	System   string            `json:"system"`
	Runs     int               `json:"runs"` // with figures
	Failed   int64             `json:"failed_requests"`
	Figures  map[string]Spread `json:"figures"`
	// Ratios are multiples of the yardstick's figures, and Added what is above them;
	// both made repetition by repetition.
	Ratios map[string]Spread `json:"ratios,omitempty"`
	Added  map[string]Spread `json:"added,omitempty"`
}

// Summarize returns the summaries of measurements in the order in which their scenarios
// and systems first appear. yardstick is the system that others are compared with; it may
// be missing.
func Summarize(all []Measurement, yardstick string) []Summary {
	var out []Summary
	for i := range all {
		m := &all[i]
		known := func(s Summary) bool { return s.Scenario == m.Scenario && s.System == m.System }
		if slices.ContainsFunc(out, known) {
			continue
		}
		out = append(out, summary(all, m.Scenario, m.System, yardstick))
	}
	return out
}

func summary(all []Measurement, scenario, system, yardstick string) Summary {
	s := Summary{Scenario: scenario, System: system, Figures: map[string]Spread{}}
	mine, theirs := runsOf(all, scenario, system), runsOf(all, scenario, yardstick)
	s.Runs = len(mine)
	for _, m := range mine {
		s.Failed += m.Load.Failed
	}
	for _, f := range figures() {
		var values, ratios, added []float64
		for repetition, m := range mine {
			v, ok := f.of(m)
			if !ok {
				continue
			}
			values = append(values, v)
			if other := theirs[repetition]; other != nil && system != yardstick {
				if w, ok := f.of(other); ok && w > 0 {
					ratios, added = append(ratios, v/w), append(added, v-w)
				}
			}
		}
		if len(values) == 0 {
			continue
		}
		s.Figures[f.name] = spreadOf(values)
		if len(ratios) > 0 && slices.Contains(ratioFigures(), f.name) {
			put(&s.Ratios, f.name, ratios)
		}
		if len(added) > 0 && slices.Contains(addedFigures(), f.name) {
			put(&s.Added, f.name, added)
		}
	}
	return s
}

func put(m *map[string]Spread, name string, values []float64) {
	if *m == nil {
		*m = map[string]Spread{}
	}
	(*m)[name] = spreadOf(values)
}

// runsOf returns measurements that have figures, by repetition.
func runsOf(all []Measurement, scenario, system string) map[int]*Measurement {
	out := map[int]*Measurement{}
	for i := range all {
		if m := &all[i]; m.Scenario == scenario && m.System == system && m.Failure == "" {
			out[m.Repetition] = m
		}
	}
	return out
}
