package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/osiris/osiris/internal/bench/load"
	"github.com/osiris/osiris/internal/bench/proc"
)

// Measurement is one run of one scenario on one system.
type Measurement struct {
	Scenario   string       `json:"scenario"`
	System     string       `json:"system"`
	Repetition int          `json:"repetition"`
	Failure    string       `json:"failure,omitempty"` // why there are no figures
	Load       *load.Result `json:"load,omitempty"`
	Cost       *Cost        `json:"cost,omitempty"` // nil: the system does not tell
	Generator  *Generator   `json:"generator,omitempty"`
}

// Cost is what the processes of a system took. Times are in microseconds.
type Cost struct {
	PerRequest float64            `json:"cpu_us_per_request"`
	PerChunk   float64            `json:"cpu_us_per_chunk,omitempty"`
	Parts      map[string]float64 `json:"cpu_us_per_request_by_part,omitempty"`
	Cores      float64            `json:"cores"` // kept busy, on average
	Before     int64              `json:"memory_before_bytes"`
	Peak       int64              `json:"memory_peak_bytes"`
	PerStream  int64              `json:"memory_per_stream_bytes,omitempty"` // of those under way
}

// Generator is what measuring took, to judge a figure by.
type Generator struct {
	PerRequest      float64 `json:"cpu_us_per_request"`
	Cores           float64 `json:"cores"`
	ModelPerRequest float64 `json:"model_cpu_us_per_request,omitempty"`
	Busy            float64 `json:"machine_busy"`    // share of the machine, from 0 to 1
	Foreign         float64 `json:"machine_foreign"` // share that went to neither system, model nor load
}

// manyStreams are enough for what one of them takes to be seen in the memory of all.
const manyStreams = 100

const (
	settleTime = 500 * time.Millisecond // after a load that does not count
	lateWork   = 300 * time.Millisecond // what a system does behind an answer counts, too
)

// Measure loads a target once as the scenario says. model has the processes of a
// simulated model, if they are known.
func Measure(ctx context.Context, s Scenario, t Target, model []int) (*Measurement, error) {
	cfg := s.Load
	cfg.URL, cfg.Key, cfg.Model, cfg.Header = t.URL, t.Key, t.Model, t.Header
	if s.Before > 0 {
		before := cfg
		before.Duration, before.Requests, before.Warmup, before.Ramp = s.Before, 0, 0, 0
		before.Rate, before.Burst, before.Concurrency = 0, 0, s.BeforeWith
		if _, err := load.Run(ctx, before); err != nil {
			return nil, err
		}
		if !pause(ctx, settleTime) {
			return nil, context.Cause(ctx)
		}
	}
	m := &Measurement{Scenario: s.Name}
	meter, err := startMeter(t, model)
	if err != nil && !errors.Is(err, proc.ErrUnsupported) {
		return nil, err
	}
	defer meter.close()
	if m.Load, err = load.Run(ctx, cfg); err != nil {
		return nil, err
	}
	if meter != nil && pause(ctx, lateWork) {
		if err := meter.read(m, cfg); err != nil {
			return nil, err
		}
	}
	return m, context.Cause(ctx)
}

// meter is what everything had cost when a load began.
type meter struct {
	target Target
	model  []int
	group  *proc.Group
	began  time.Time

	system, models, self, machine time.Duration
	parts                         []time.Duration
	memory                        int64
}

func startMeter(t Target, model []int) (*meter, error) {
	m := &meter{target: t, model: model, began: time.Now()}
	var err error
	if m.group, err = proc.Watch(t.pids()...); err != nil {
		return nil, fmt.Errorf("look at the system: %w", err)
	}
	if err := m.look(); err != nil {
		m.group.Close()
		return nil, err
	}
	return m, nil
}

func (m *meter) close() {
	if m != nil {
		m.group.Close()
	}
}

// look takes every clock's time.
func (m *meter) look() error {
	all, err := m.group.Usage()
	if err != nil {
		return fmt.Errorf("look at the system: %w", err)
	}
	m.system, m.memory = all.CPU, all.Memory
	m.parts = m.parts[:0]
	for _, p := range m.target.Parts {
		u, err := proc.Of(p.PIDs...)
		if err != nil {
			return fmt.Errorf("look at %s: %w", p.Name, err)
		}
		m.parts = append(m.parts, u.CPU)
	}
	models, err := proc.Of(m.model...)
	if err != nil {
		return fmt.Errorf("look at the model: %w", err)
	}
	m.models = models.CPU
	if m.self, err = proc.Self(); err != nil {
		return err
	}
	m.machine, err = proc.Machine()
	return err
}

// read puts what was spent since the start into a measurement.
func (m *meter) read(out *Measurement, cfg load.Config) error {
	now := *m
	now.parts = nil
	if err := now.look(); err != nil {
		return err
	}
	peak, err := m.group.Usage()
	if err != nil {
		return fmt.Errorf("look at the system: %w", err)
	}
	elapsed := time.Since(m.began).Seconds()
	requests := float64(max(out.Load.AllRequests, 1))
	each := func(d time.Duration) float64 { return d.Seconds() * 1e6 / requests }
	cores := float64(runtime.NumCPU())
	system, models, self := now.system-m.system, now.models-m.models, now.self-m.self
	machine := now.machine - m.machine
	out.Generator = &Generator{
		PerRequest: each(self), Cores: self.Seconds() / elapsed, ModelPerRequest: each(models), Busy: machine.Seconds() / elapsed / cores,
	}
	if len(m.target.Parts) == 0 {
		return nil // what is foreign, nobody knows
	}
	out.Generator.Foreign = max(0, (machine-system-models-self).Seconds()/elapsed/cores)
	out.Cost = &Cost{PerRequest: each(system), Cores: system.Seconds() / elapsed, Before: m.memory, Peak: peak.Peak}
	if out.Load.AllChunks > 0 && out.Load.Kind == load.Stream {
		out.Cost.PerChunk = system.Seconds() * 1e6 / float64(out.Load.AllChunks)
	}
	if len(m.parts) > 1 {
		out.Cost.Parts = map[string]float64{}
		for i, p := range m.target.Parts {
			out.Cost.Parts[p.Name] += each(now.parts[i] - m.parts[i])
		}
	}
	if out.Load.Kind == load.Stream && cfg.Rate == 0 && cfg.Concurrency >= manyStreams {
		out.Cost.PerStream = max(0, peak.Peak-m.memory) / int64(cfg.Concurrency)
	}
	return nil
}

// pause waits; it reports false if ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
