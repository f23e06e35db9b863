package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/osiris/osiris/internal/bench"
	"github.com/osiris/osiris/internal/bench/load"
	"github.com/osiris/osiris/internal/bench/proc"
	"github.com/osiris/osiris/internal/service"
)

func (c *benchRun) run(ctx context.Context, std service.IO) int {
	explain := func(err error) string { return err.Error() }
	if c.URL == "" {
		return exitOf(c.suite(ctx, std), explain, std)
	}
	return exitOf(c.target(ctx, std), explain, std)
}

// described reports whether flags describe a load.
func (c *benchRun) described() bool {
	l := c.benchLoad
	l.Verify, l.Coalesce, l.Usage, l.Store = "", false, false, false
	return l != benchLoad{}
}

// load is what the flags describe.
func (c *benchRun) load(model string) bench.Scenario {
	l := c.benchLoad
	cfg := load.Config{
		Kind: load.Kind(firstOf(l.Kind, string(load.Plain))), Concurrency: l.Concurrency, Rate: l.Rate, Burst: l.Burst,
		Duration: l.Duration, Requests: l.Requests, Warmup: l.Warmup, Ramp: l.Ramp, Timeout: l.Timeout,
		Tokens: l.Tokens, Size: l.ChunkBytes, PromptBytes: l.Prompt,
	}
	if cfg.Duration == 0 && cfg.Requests == 0 {
		cfg.Duration = 10 * time.Second
		if cfg.Kind == load.Batch {
			cfg.Duration, cfg.Requests = 0, 10_000
		}
	}
	s := bench.Scenario{Name: "load", What: describe(cfg), Load: cfg, FirstToken: l.FirstToken, Gap: l.Gap, Jitter: l.Jitter}
	c.judge(&s.Load, model)
	return s
}

// judge says how answers of a model are checked.
func (c *benchRun) judge(cfg *load.Config, model string) {
	cfg.Store, cfg.Usage, cfg.Coalesce = c.Store, c.Usage, c.Coalesce
	name, _, _ := strings.Cut(model, "?")
	switch {
	case c.Verify != "":
		cfg.Verify = load.Verify(c.Verify)
	case name == benchModelName:
		cfg.Verify = load.Model
	case name == "echo":
		cfg.Verify = load.Echo
	default:
		cfg.Verify = load.Shape
	}
}

// describe is a load in words.
func describe(cfg load.Config) string {
	what := map[load.Kind]string{load.Plain: "whole answers", load.Stream: "streams", load.Kept: "kept completions", load.Batch: "a batch"}[cfg.Kind]
	switch {
	case cfg.Kind == load.Batch:
		return fmt.Sprintf("%s of %d requests", what, cfg.Requests)
	case cfg.Rate > 0 && cfg.Burst > 1:
		return fmt.Sprintf("%s, %g per second in bursts of %d", what, cfg.Rate, cfg.Burst)
	case cfg.Rate > 0:
		return fmt.Sprintf("%s, %g per second", what, cfg.Rate)
	case cfg.Concurrency > 0:
		return fmt.Sprintf("%s, %d at a time", what, cfg.Concurrency)
	}
	return what + ", 64 at a time"
}

// target measures a server that runs already.
func (c *benchRun) target(ctx context.Context, std service.IO) error {
	if c.Apart || c.Floor || len(c.Systems) > 0 || c.FirstToken > 0 || c.Gap > 0 || c.Jitter > 0 {
		return &exitError{exitUsage, "--apart, --floor, --systems, --ttft, --itl and --jitter are about what osiris bench starts, and with --url it starts nothing"}
	}
	env := environment(std.Environ)
	model := firstOf(c.Model, env["OSIRIS_MODEL"], benchModelName)
	scenarios := []bench.Scenario{c.load(model)}
	if c.Scenario != "" {
		var err error
		if scenarios, err = c.named(model); err != nil {
			return err
		}
	}
	target := bench.Target{URL: c.URL, Key: firstOf(c.Key, env["OSIRIS_API_KEY"]), Model: model, Header: c.Header}
	if err := checkLoads(scenarios, target); err != nil {
		return err
	}
	var err error
	if target.Parts, err = c.parts(); err != nil {
		return err
	}
	var all []bench.Measurement
	for _, s := range scenarios {
		m, err := bench.Measure(ctx, s, target, nil)
		if m == nil {
			return err
		}
		m.System, m.Repetition = c.URL, 1
		all = append(all, *m)
		if !c.JSON {
			fmt.Fprintf(std.Stdout, "%s: %s\n\n", s.Name, s.What)
			bench.WriteReport(std.Stdout, m)
		}
		c.doubts(std, m)
		if err != nil {
			break // interrupted: what there is was shown
		}
	}
	return c.finish(std, all, "")
}

// checkLoads finds what is wrong with loads before anything is started.
func checkLoads(scenarios []bench.Scenario, t bench.Target) error {
	for _, s := range scenarios {
		cfg := s.Load
		cfg.URL, cfg.Key, cfg.Model, cfg.Header = t.URL, t.Key, t.Model, t.Header
		if err := cfg.Check(); err != nil {
			return &exitError{exitUsage, err.Error()}
		}
	}
	return nil
}

// parts are the processes that the flags name.
func (c *benchRun) parts() ([]bench.Part, error) {
	var parts []bench.Part
	for _, pid := range c.PID {
		parts = append(parts, bench.Part{Name: strconv.Itoa(pid), PIDs: []int{pid}})
	}
	for _, name := range c.Process {
		pids, err := proc.Named(name)
		if err != nil {
			return nil, fmt.Errorf("--process: %w", err)
		}
		parts = append(parts, bench.Part{Name: name, PIDs: pids})
	}
	return parts, nil
}

// named are the scenarios of --scenario.
func (c *benchRun) named(model string) ([]bench.Scenario, error) {
	if c.described() {
		return nil, &exitError{exitUsage, "--scenario describes a load already: leave out either it or the flags of the load"}
	}
	scenarios, err := bench.Named(c.Scenario)
	if err != nil {
		return nil, &exitError{exitUsage, "--scenario: " + err.Error()}
	}
	for i := range scenarios {
		scenarios[i] = scenarios[i].Stretched(c.Stretch)
		c.judge(&scenarios[i].Load, model)
	}
	return scenarios, nil
}

// suite measures systems that are started for it.
func (c *benchRun) suite(ctx context.Context, std service.IO) error {
	if len(c.PID) > 0 || len(c.Process) > 0 || c.Key != "" || c.Model != "" || len(c.Header) > 0 {
		return &exitError{exitUsage, "--key, --model, --header, --pid and --process are about a server that runs already: name it with --url"}
	}
	if c.Repetitions < 1 || c.Stretch <= 0 {
		return &exitError{exitUsage, "--repetitions is at least 1, and --stretch more than 0"}
	}
	scenarios := []bench.Scenario{c.load(benchModelName)}
	if c.Scenario != "" || !c.described() {
		c.Scenario = firstOf(c.Scenario, bench.Standard)
		var err error
		if scenarios, err = c.named(benchModelName); err != nil {
			return err
		}
	}
	if err := checkLoads(scenarios, bench.Target{URL: "http://127.0.0.1/v1", Model: benchModelName}); err != nil {
		return err
	}
	starter, err := newBenchStarter(std)
	if err != nil {
		return err
	}
	systems, yardstick, err := c.systems(starter)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "osiris-bench")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	suite := bench.Suite{
		Scenarios: scenarios, Systems: systems, Repetitions: c.Repetitions, Patience: c.Patience, Dir: dir, StartModel: starter.model,
		Done: func(m bench.Measurement) {
			fmt.Fprintln(std.Stderr, m.Line())
			c.doubts(std, &m)
		},
	}
	all, err := suite.Run(ctx)
	err = errors.Join(err, os.RemoveAll(dir))
	if !c.JSON {
		bench.WriteTables(std.Stdout, scenarios, bench.Summarize(all, yardstick), yardstick)
	}
	return errors.Join(c.finish(std, all, yardstick), err)
}

// systems are those to start, and the one that others are compared with.
func (c *benchRun) systems(starter *benchStarter) (systems []bench.System, yardstick string, err error) {
	names := c.Systems
	if len(names) == 0 {
		if c.Floor {
			names = append(names, "floor")
		}
		if c.Apart {
			names = append(names, "apart")
		} else {
			names = append(names, "up")
		}
	}
	for _, name := range names {
		system, ok := starter.system(name)
		if !ok {
			return nil, "", &exitError{exitUsage, fmt.Sprintf("--systems: there is no %q, only direct, floor, up and apart", name)}
		}
		systems = append(systems, system)
	}
	yardstick = names[0]
	if slices.Contains(names, "floor") {
		yardstick = "floor"
	}
	return systems, yardstick, nil
}

// doubts says what a figure is not worth.
func (c *benchRun) doubts(std service.IO, m *bench.Measurement) {
	for _, doubt := range m.Doubts() {
		fmt.Fprintf(std.Stderr, "%s: %s\n", name, doubt)
	}
	if m.Failure == "" && m.Cost == nil && (c.URL == "" || len(c.PID)+len(c.Process) > 0) {
		fmt.Fprintf(std.Stderr, "%s: no CPU and no memory: %v\n", name, proc.ErrUnsupported)
	}
}

// finish writes JSON if asked, and reports whether everything was right.
func (c *benchRun) finish(std service.IO, all []bench.Measurement, yardstick string) error {
	if c.JSON {
		report := bench.Report{Machine: bench.ThisMachine(), Version: service.Version(), Summaries: bench.Summarize(all, yardstick), Measurements: all}
		if err := printJSON(std.Stdout, report); err != nil {
			return err
		}
	}
	for _, m := range all {
		if m.Failure != "" || m.Load.Failed > 0 || m.Load.Requests == 0 {
			return &exitError{code: exitFailed}
		}
	}
	return nil
}
