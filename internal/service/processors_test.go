package service

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"
)

// load is so many periods of 10 ms of the same kind.
type load struct {
	periods int
	cores   float64 // in use
	idle    float64 // of the machine, while the program is saturated
	waited  uint64
	long    uint64
}

func TestProcessors(t *testing.T) {
	second := func(cores float64) load { return load{periods: 100, cores: cores, waited: 100} }
	const length = 10 * time.Millisecond
	for name, c := range map[string]struct {
		loads []load
		want  []int // after each of them
	}{
		"idle":                           {[]load{second(0)}, []int{1}},
		"a little":                       {[]load{second(0.59)}, []int{1}},
		"room is left":                   {[]load{second(0.61), second(1.9), second(3)}, []int{2, 2, 2}},
		"as many as before":              {[]load{second(4.7), second(7)}, []int{8, 8}},
		"not before a second":            {[]load{{periods: 99, waited: 9}, {periods: 1}}, []int{8, 1}},
		"saturated, and the machine not": {[]load{second(0), {periods: 1, cores: 1, idle: 0.5}}, []int{1, 8}},
		"saturated, as the machine":      {[]load{second(0), {periods: 500, cores: 1, idle: 0.4}}, []int{1, 1}},
		"goroutines wait":                {[]load{second(0), {periods: 9, waited: 100, long: 10}, {periods: 1, waited: 100, long: 10}}, []int{1, 1, 8}},
		"few wait":                       {[]load{second(0), {periods: 500, cores: 0.5, waited: 100, long: 9}}, []int{1, 1}},
		"one waits":                      {[]load{second(0), {periods: 9}, {periods: 1, waited: 1, long: 1}}, []int{1, 1, 1}},
		"regretted": {[]load{
			second(0), {periods: 1, cores: 1, idle: 1}, second(0), second(0), // held for two seconds
			{periods: 1, cores: 1, idle: 1}, second(0), {periods: 299}, {periods: 1},
		}, []int{1, 8, 8, 1, 8, 8, 8, 1}},
		"given back for long": {[]load{
			second(0), {periods: 1100}, {periods: 1, cores: 1, idle: 1}, second(0),
		}, []int{1, 1, 8, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newProcessors(8)
			for i, l := range c.loads {
				for range l.periods {
					s.next(period{
						length: length, used: time.Duration(l.cores * float64(length)), idle: time.Duration(l.idle * float64(length)),
						waited: l.waited, long: l.long,
					})
				}
				if s.now != c.want[i] {
					t.Fatalf("%d processors after load %d, want %d", s.now, i, c.want[i])
				}
			}
		})
	}
}

func TestProcessorsAreHeldAtMostAMinute(t *testing.T) {
	s := newProcessors(8)
	for range 20 {
		for s.now > 1 {
			s.next(period{length: time.Second})
		}
		s.next(period{length: tick, used: tick, idle: tick})
	}
	if s.now != 8 || s.hold != time.Minute {
		t.Errorf("%d processors are held for %v, want 8 for a minute", s.now, s.hold)
	}
}

func TestPeriodSaturates(t *testing.T) {
	p := period{length: 10 * time.Millisecond, used: 18 * time.Millisecond}
	if !p.saturates(2) || p.saturates(3) {
		t.Error("1.8 processors in use saturate 2, not 3")
	}
}

// TestHoldProcessors sees them given back when nothing runs and taken when everything does.
func TestHoldProcessors(t *testing.T) {
	if _, ok := processorTime(); !ok {
		t.Log("this system does not tell what a program uses: nothing to hold")
		return
	}
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(before)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { holdProcessors(ctx) })
	becomes := func(want int) {
		t.Helper()
		deadline := time.After(time.Minute)
		for runtime.GOMAXPROCS(0) != want {
			select {
			case <-time.After(tick):
			case <-deadline:
				t.Fatalf("%d processors, want %d", runtime.GOMAXPROCS(0), want)
			}
		}
	}
	becomes(1)
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil { // nothing but work
			}
		})
	}
	becomes(4)
}

func TestOperatorChoosesProcessors(t *testing.T) {
	t.Setenv("GOMAXPROCS", "3")
	holdProcessors(t.Context()) // returns at once
}

func TestIdleTime(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("only Linux tells")
		return
	}
	if idle, ok := idleTime(); !ok || idle <= 0 {
		t.Errorf("the machine idled for %v, known: %v", idle, ok)
	}
}
