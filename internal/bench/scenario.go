package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/osiris/osiris/internal/bench/load"
)

// Scenario is a load, and the simulated model that it meets.
type Scenario struct {
	Name, What string

	// Load says what is asked for and how often; whom to ask is filled in.
	Load load.Config

	FirstToken, Gap time.Duration // of the model
	Jitter          float64       // of these times

	// Before is how long the system is loaded before it is measured, and BeforeWith how
	// many requests are under way then.
	Before     time.Duration
	BeforeWith int
}

// Scenarios are those with a name, in their order.
func Scenarios() []Scenario {
	return []Scenario{
		{
			Name: "S1", What: "whole answers, a model without latency, 64 at a time",
			Load:   load.Config{Kind: load.Plain, Concurrency: 64, Duration: 6 * time.Second, Tokens: 64},
			Before: 3 * time.Second, BeforeWith: 64,
		},
		{
			Name: "S2", What: "streams of 64 chunks, a model without latency, 64 at a time",
			Load:   load.Config{Kind: load.Stream, Concurrency: 64, Duration: 6 * time.Second, Tokens: 64},
			Before: 3 * time.Second, BeforeWith: 64,
		},
		{
			Name: "S3", What: "streams of 64 chunks, 50 ms to the first and 10 ms between two, 200 at a time",
			Load: load.Config{
				Kind: load.Stream, Concurrency: 200, Duration: 9 * time.Second, Warmup: time.Second, Ramp: 700 * time.Millisecond, Tokens: 64,
			},
			FirstToken: 50 * time.Millisecond, Gap: 10 * time.Millisecond, Before: 2 * time.Second, BeforeWith: 200,
		},
		{
			Name: "S4", What: "2,000 streams of 25 chunks, 100 ms to the first and 200 ms between two",
			Load: load.Config{
				Kind: load.Stream, Concurrency: 2000, Duration: 17 * time.Second, Warmup: 6 * time.Second, Ramp: 5 * time.Second, Tokens: 25,
			},
			FirstToken: 100 * time.Millisecond, Gap: 200 * time.Millisecond, Before: time.Second, BeforeWith: 64,
		},
		{
			Name: "S5", What: "streams of 16 chunks, a model without latency, one at a time",
			Load:   load.Config{Kind: load.Stream, Concurrency: 1, Duration: 4 * time.Second, Tokens: 16},
			Before: 2 * time.Second, BeforeWith: 8,
		},
		{
			Name: "S6", What: "whole answers, a model without latency, one at a time",
			Load:   load.Config{Kind: load.Plain, Concurrency: 1, Duration: 4 * time.Second, Tokens: 16},
			Before: 2 * time.Second, BeforeWith: 8,
		},
		{
			Name: "kept", What: "kept completions, submitted and then read by their id, a model without latency, 32 at a time",
			Load:   load.Config{Kind: load.Kept, Concurrency: 32, Duration: 6 * time.Second, Tokens: 64},
			Before: 2 * time.Second, BeforeWith: 32,
		},
		{
			Name: "batch", What: "a batch of 10,000 requests of 4 KB, a model without latency",
			Load: load.Config{Kind: load.Batch, Requests: 10_000, PromptBytes: 4000, Tokens: 64},
		},
	}
}

// Standard are the scenarios that every gateway can run, those that targets are set for.
const Standard = "S1,S2,S3,S4,S5,S6"

// Named returns the scenarios of a list such as "S1,S3".
func Named(list string) ([]Scenario, error) {
	all := Scenarios()
	var out []Scenario
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(s Scenario) bool { return strings.EqualFold(s.Name, strings.TrimSpace(name)) })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q: there are %s, kept and batch", name, Standard)
		}
		out = append(out, all[i])
	}
	return out, nil
}

// Stretched is s with its times multiplied, all but those of the model.
func (s Scenario) Stretched(by float64) Scenario {
	for _, d := range []*time.Duration{&s.Load.Duration, &s.Load.Warmup, &s.Load.Ramp, &s.Before} {
		*d = time.Duration(float64(*d) * by)
	}
	if s.Load.Kind == load.Batch {
		s.Load.Requests = max(1, int64(float64(s.Load.Requests)*by))
	}
	return s
}

// onlyOsiris reports whether other gateways cannot run s.
func (s Scenario) onlyOsiris() bool { return s.Load.Kind == load.Kept || s.Load.Kind == load.Batch }
