package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/osiris/osiris/internal/bench/load"
	"github.com/osiris/osiris/internal/bench/proc"
)

// Suite is several systems in several scenarios.
type Suite struct {
	Scenarios   []Scenario
	Systems     []System
	Repetitions int
	Patience    time.Duration // how long to wait for a quiet machine before each measurement
	Dir         string        // a folder for what systems store, emptied as they go

	// StartModel starts the simulated model of a scenario.
	StartModel func(ctx context.Context, s Scenario) (*Running, error)
	// Done is told of each measurement.
	Done func(Measurement)
}

// quiet is the share of the machine that others may take.
const quiet = 0.1

// Run measures everything, in turns. What fails is a measurement with its reason; the error
// is that of a ctx that ended, with what was measured until then.
func (s *Suite) Run(ctx context.Context) ([]Measurement, error) {
	var all []Measurement
	for _, scenario := range s.Scenarios {
		for repetition := range s.Repetitions {
			for i := range s.Systems {
				system := s.Systems[(i+repetition)%len(s.Systems)]
				if scenario.onlyOsiris() && !system.Osiris {
					continue
				}
				if err := s.awaitQuiet(ctx); err != nil {
					return all, err
				}
				m, err := s.one(ctx, scenario, system)
				if ctx.Err() != nil {
					return all, context.Cause(ctx)
				}
				if err != nil {
					m = &Measurement{Failure: err.Error()}
				}
				m.Scenario, m.System, m.Repetition = scenario.Name, system.Name, repetition+1
				all = append(all, *m)
				if s.Done != nil {
					s.Done(*m)
				}
			}
		}
	}
	return all, nil
}

// awaitQuiet waits until others took little of the machine for a second, or patience is over.
func (s *Suite) awaitQuiet(ctx context.Context) error {
	for end := time.Now().Add(s.Patience); time.Now().Before(end); {
		before, err := proc.Machine()
		if err != nil {
			return nil //nolint:nilerr // a system that does not tell is not waited for
		}
		began := time.Now()
		if !pause(ctx, time.Second) {
			return context.Cause(ctx)
		}
		after, err := proc.Machine()
		if err == nil && (after-before).Seconds() <= quiet*time.Since(began).Seconds()*float64(runtime.NumCPU()) {
			return nil
		}
	}
	return nil
}

// one starts a model and a system, and measures.
func (s *Suite) one(ctx context.Context, scenario Scenario, system System) (m *Measurement, err error) {
	dir, err := os.MkdirTemp(s.Dir, system.Name)
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	model, err := s.StartModel(ctx, scenario)
	if err != nil {
		return nil, err
	}
	defer stopAll(model.Processes)
	running, err := system.Start(ctx, model.Target.URL, filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	defer stopAll(running.Processes)
	if err := ready(ctx, running.Target); err != nil {
		return nil, err
	}
	m, err = Measure(ctx, scenario, running.Target, model.Target.pids())
	for _, p := range running.Processes {
		if !p.Alive() {
			return nil, fmt.Errorf("%s ended during the run: %s", p.Name, p.log)
		}
	}
	return m, err
}

// ready asks until an answer is right.
func ready(ctx context.Context, t Target) error {
	for end := time.Now().Add(startTime); ; {
		r, err := load.Run(ctx, load.Config{
			URL: t.URL, Key: t.Key, Model: t.Model, Header: t.Header, Kind: load.Plain, Concurrency: 1, Requests: 1, Timeout: 10 * time.Second,
			Tokens: 1, // a whole answer of a slow model takes as long as all its tokens
		})
		switch {
		case err != nil:
			return err
		case r.Requests == 1:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("the system does not answer rightly: %s", r.FirstError)
		}
		if !pause(ctx, 50*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}
