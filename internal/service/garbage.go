package service

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go collects garbage when there is as much as memory in use, whether that costs nothing
// or a tenth of the processor time. A program with thousands of quiet streams would hold
// as much garbage as streams; a busy one with 10 MB in use would collect after every
// 10 MB. holdGarbage therefore lets a program have the more garbage the more collecting
// costs it, and ballast counts as memory in use: it is only ever reserved, and the
// system gives no page for it.
const (
	ballast = 32 << 20 // bytes

	leastGarbage = 20 // percent of the memory in use
	mostGarbage  = 100

	costly = 0.045 // of the program's processor time goes to collecting, costlyTimes in a row: more garbage.
	cheap  = 0.02  // Less goes there: less garbage. Below half of costly, or the number would go to and fro.

	costlyTimes = 3 // many streams that begin at once take no longer

	judgeEvery  = time.Second
	judgeCycles = 4                // collections are told apart from chance,
	judgeWait   = 10 * time.Second // and if there are not so many in this time, those that were.
)

// newBallast reserves it for as long as the result is kept, unless GOGC says how often
// to collect.
func newBallast() []byte {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	return make([]byte, ballast)
}

// collecting is what happened since the last judgement.
type collecting struct {
	length, used time.Duration // time, and the program's processor time
	cost         time.Duration // of it for collecting
	cycles       uint64
}

// garbage decides how much of it there may be.
type garbage struct {
	percent int // of the memory in use
	times   int // it was costly in a row
}

// judge sets the percentage by what happened, and reports false if that tells nothing yet.
func (g *garbage) judge(c collecting) bool {
	if c.cycles < judgeCycles && c.length < judgeWait {
		return false
	}
	share := float64(c.cost) / float64(max(c.used, 1))
	switch {
	case share <= costly:
		g.times = 0
		if share < cheap {
			g.percent = max(g.percent/2, leastGarbage)
		}
	case g.times+1 < costlyTimes:
		g.times++
	default:
		g.times, g.percent = 0, min(2*g.percent, mostGarbage)
	}
	return true
}

// holdGarbage blocks until ctx ends. It does nothing where the operator chose, by GOGC,
// or where the system does not tell what a program uses.
func holdGarbage(ctx context.Context) {
	used, ok := processorTime()
	if os.Getenv("GOGC") != "" || !ok {
		return
	}
	g := garbage{percent: leastGarbage}
	defer debug.SetGCPercent(debug.SetGCPercent(g.percent))
	since, cost, cycles := time.Now(), time.Duration(0), uint64(0)
	tick := time.NewTicker(judgeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		u, _ := processorTime()
		spent, n := collected()
		before := g.percent
		if !g.judge(collecting{length: now.Sub(since), used: u - used, cost: spent - cost, cycles: n - cycles}) {
			continue
		}
		if g.percent != before {
			debug.SetGCPercent(g.percent)
		}
		since, used, cost, cycles = now, u, spent, n
	}
}

// collected returns what collecting has cost since the program began, without the idle
// processors' help, and how often it was done.
func collected() (cost time.Duration, cycles uint64) {
	sample := []metrics.Sample{
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}, {Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(sample)
	seconds := sample[0].Value.Float64() - sample[1].Value.Float64()
	return time.Duration(seconds * float64(time.Second)), sample[2].Value.Uint64()
}
