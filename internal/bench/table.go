package bench

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/osiris/osiris/internal/bench/load"
)

// Line is a measurement in one line, for those who watch.
func (m *Measurement) Line() string {
	if m.Failure != "" {
		return fmt.Sprintf("%-5s %-6s %d  FAILED: %s", m.Scenario, m.System, m.Repetition, m.Failure)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-5s %-6s %d  %.0f requests/s", m.Scenario, m.System, m.Repetition, m.Load.RequestsPerSec)
	if m.Load.Kind == load.Stream {
		fmt.Fprintf(&b, ", %.0f chunks/s", m.Load.ChunksPerSec)
	}
	if t := m.Load.First; t != nil {
		fmt.Fprintf(&b, ", first token %.2f ms (p99 %.2f)", t.P50, t.P99)
	}
	if c := m.Cost; c != nil {
		fmt.Fprintf(&b, ", CPU %.0f µs/request", c.PerRequest)
		if c.PerChunk > 0 {
			fmt.Fprintf(&b, " %.1f µs/chunk", c.PerChunk)
		}
		for _, part := range slices.Sorted(maps.Keys(c.Parts)) {
			fmt.Fprintf(&b, ", %s %.0f", part, c.Parts[part])
		}
		fmt.Fprintf(&b, ", %.0f MB", float64(c.Peak)/1e6)
	}
	if m.Load.Failed > 0 {
		fmt.Fprintf(&b, ", %d FAILED %v", m.Load.Failed, m.Load.Errors)
	}
	return b.String()
}

// Doubts say what makes a figure worth less than it looks.
func (m *Measurement) Doubts() []string {
	var out []string
	if m.Failure != "" {
		return nil
	}
	if n := m.Load.Failed; n > 0 {
		out = append(out, fmt.Sprintf("%d of %d requests failed; the first: %s", n, m.Load.Begun, m.Load.FirstError))
	}
	if l, t := m.Load.Late, m.Load.Total; l != nil && t != nil && l.P99 > max(2, t.P99/10) {
		out = append(out, fmt.Sprintf("requests were sent late (p99 %.1f ms), for all connections were busy or the load generator was: its part of the times is not the system's", l.P99))
	}
	if g := m.Generator; g != nil {
		if g.Busy > 0.9 && m.Cost != nil && g.Cores > m.Cost.Cores {
			out = append(out, fmt.Sprintf("the load generator took more of the busy machine (%.2f processors) than the system (%.2f): compare CPU, not requests/s", g.Cores, m.Cost.Cores))
		} else if g.Busy > 0.9 && m.Cost == nil && g.Cores > 0.4*float64(runtime.NumCPU()) {
			out = append(out, fmt.Sprintf("the machine was busy and the load generator took %.2f processors of it: it may be the bottleneck", g.Cores))
		}
		if g.Foreign > quiet {
			out = append(out, fmt.Sprintf("other programs took %.0f %% of the machine", 100*g.Foreign))
		}
	}
	return out
}

// WriteTables writes summaries for people, one table for each scenario.
func WriteTables(w io.Writer, scenarios []Scenario, all []Summary, yardstick string) {
	for _, scenario := range scenarios {
		var these []Summary
		for _, s := range all {
			if s.Scenario == scenario.Name {
				these = append(these, s)
			}
		}
		if len(these) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s: %s\n\n", scenario.Name, scenario.What)
		writeTable(w, these)
		for _, s := range these {
			writeComparison(w, s, yardstick)
		}
	}
}

func writeTable(w io.Writer, these []Summary) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	var columns []figure
	for _, f := range figures() {
		if slices.ContainsFunc(these, func(s Summary) bool { _, ok := s.Figures[f.name]; return ok }) {
			columns = append(columns, f)
		}
	}
	fmt.Fprint(t, "system\t")
	for _, f := range columns {
		fmt.Fprintf(t, "%s\t", f.head)
	}
	fmt.Fprint(t, "failed\t\n")
	for _, s := range these {
		fmt.Fprintf(t, "%s\t", s.System)
		for _, f := range columns {
			if v, ok := s.Figures[f.name]; ok {
				fmt.Fprintf(t, "%.*f\t", f.digits, v.Median)
			} else {
				fmt.Fprint(t, "-\t")
			}
		}
		fmt.Fprintf(t, "%d\t\n", s.Failed)
	}
	_ = t.Flush() // to standard output
}

// writeComparison says in a line how a system compares with the yardstick.
func writeComparison(w io.Writer, s Summary, yardstick string) {
	var parts []string
	for _, f := range figures() {
		head := strings.TrimSuffix(strings.ReplaceAll(f.name, "_", " "), " ms")
		if v, ok := s.Ratios[f.name]; ok {
			name := strings.NewReplacer("cpu us per", "CPU per", "memory mb", "memory", "memory kb", "memory", "requests per s", "requests/s").Replace(head)
			parts = append(parts, fmt.Sprintf("%s ×%.2f [%.2f..%.2f]", name, v.Median, v.Lowest, v.Highest))
		}
		if v, ok := s.Added[f.name]; ok {
			parts = append(parts, fmt.Sprintf("%s %+.2f ms [%+.2f..%+.2f]", head, v.Median, v.Lowest, v.Highest))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(w, "\n%s / %s: %s\n", s.System, yardstick, strings.Join(parts, ", "))
	}
}

// WriteReport writes one measurement for people.
func WriteReport(w io.Writer, m *Measurement) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	r := m.Load
	fmt.Fprintf(t, "requests\t%d right and measured, %d begun, %d failed\t\n", r.Requests, r.Begun, r.Failed)
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(t, "\t%d %s\t\n", r.Errors[kind], kind)
	}
	fmt.Fprintf(t, "throughput\t%.1f requests/s", r.RequestsPerSec)
	if r.Kind == load.Stream {
		fmt.Fprintf(t, ", %.0f chunks/s", r.ChunksPerSec)
	}
	fmt.Fprintf(t, ", for %.1f s\t\n", r.Seconds)
	for _, row := range []struct {
		name  string
		times *load.Times
	}{{"accepted", r.Accepted}, {"first token", r.First}, {"gap", r.Gap}, {"total", r.Total}, {"sent late", r.Late}} {
		if x := row.times; x != nil {
			fmt.Fprintf(t, "%s\tp50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f ms\t\n", row.name, x.P50, x.P90, x.P99, x.P999, x.Max)
		}
	}
	if b := r.Batch; b != nil {
		fmt.Fprintf(t, "batch\tupload %.1f s (%.1f MB), run %.1f s, download %.1f s\t\n", b.Upload, float64(b.Bytes)/1e6, b.Run, b.Download)
	}
	if c := m.Cost; c != nil {
		fmt.Fprintf(t, "system\t%.1f µs CPU per request", c.PerRequest)
		if c.PerChunk > 0 {
			fmt.Fprintf(t, ", %.2f per chunk", c.PerChunk)
		}
		fmt.Fprintf(t, ", %.2f processors, %.1f MB before and %.1f at most", c.Cores, float64(c.Before)/1e6, float64(c.Peak)/1e6)
		if c.PerStream > 0 {
			fmt.Fprintf(t, ", %.1f KB per stream", float64(c.PerStream)/1e3)
		}
		fmt.Fprint(t, "\t\n")
		for _, part := range slices.Sorted(maps.Keys(c.Parts)) {
			fmt.Fprintf(t, "  %s\t%.1f µs CPU per request\t\n", part, c.Parts[part])
		}
	}
	if g := m.Generator; g != nil {
		fmt.Fprintf(t, "generator\t%.1f µs CPU per request, %.2f processors; the machine was %.0f %% busy\t\n", g.PerRequest, g.Cores, 100*g.Busy)
	}
	_ = t.Flush() // to standard output
}
