package service

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"
)

func TestGarbageFollowsItsCost(t *testing.T) {
	const s = time.Second
	costly := collecting{length: s, used: s, cost: s / 10, cycles: 4}
	little := collecting{length: s, used: s, cost: s / 100, cycles: 4}
	medium := collecting{length: s, used: s, cost: s / 30, cycles: 4}
	for name, c := range map[string]struct {
		now  int
		c    []collecting
		want int
	}{
		"too early":          {100, []collecting{{length: s, used: s, cycles: 3}}, 100},
		"nothing to collect": {100, []collecting{{length: judgeWait, used: s}}, 50},
		"nothing done":       {100, []collecting{{length: judgeWait}}, 50},
		"little":             {100, []collecting{little, little, little, little}, 20},
		"medium":             {50, []collecting{medium, medium, medium}, 50},
		"costly twice":       {40, []collecting{costly, costly, medium, costly, little}, 20},
		"costly":             {20, []collecting{costly, costly, costly}, 40},
		"costly for long":    {20, []collecting{costly, costly, costly, costly, costly, costly, costly, costly, costly}, 100},
		"few but costly":     {20, []collecting{costly, costly, {length: judgeWait, used: s, cost: s / 10, cycles: 1}}, 40},
	} {
		g := garbage{percent: c.now}
		for _, c := range c.c {
			g.judge(c)
		}
		if g.percent != c.want {
			t.Errorf("%s: %d, want %d", name, g.percent, c.want)
		}
	}
}

func TestHoldGarbage(t *testing.T) {
	if _, ok := processorTime(); !ok {
		t.Log("this system does not tell what a program uses: nothing to hold")
		return
	}
	t.Setenv("GOGC", "")
	ctx, stop := context.WithCancel(t.Context())
	var holding sync.WaitGroup
	holding.Go(func() { holdGarbage(ctx) })
	before, cycles := collected()
	runtime.GC()
	if after, n := collected(); n <= cycles || after < before {
		t.Errorf("%v and %d collections, before one more %v and %d", after, n, before, cycles)
	}
	stop()
	holding.Wait()
	if percent := debug.SetGCPercent(mostGarbage); percent != mostGarbage {
		t.Errorf("%d %% after the end, want what was before", percent)
	}
}

func TestOperatorChoosesGarbage(t *testing.T) {
	t.Setenv("GOGC", "300")
	holdGarbage(t.Context()) // returns at once
	if newBallast() != nil {
		t.Error("ballast beside GOGC")
	}
}
