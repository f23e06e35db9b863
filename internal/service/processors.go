package service

import (
	"bytes"
	"context"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"time"
)

// Go wakes a sleeping thread for nearly every event that finds a processor free. On a
// program that needs a fraction of one processor, waking threads and sending them to
// sleep again costs up to a fifth of everything. holdProcessors therefore gives Go's
// scheduler as few processors as the load needs, and all of them as soon as something
// waits for one. See docs/decisions/018-as-few-processors-as-needed.md.
const (
	tick     = 20 * time.Millisecond  // between two looks at a busy program
	idleTick = 200 * time.Millisecond // at one that does next to nothing

	saturated = 0.9                    // of its processors' time in use: the program may lack one.
	lacking   = 100 * time.Millisecond // For so long, and half a processor of the machine is idle: it does.
	longWait  = 5 * time.Millisecond   // If a tenth of the goroutines that were ready wait so long,
	jam       = 100 * time.Millisecond // in as long a time, it does as well.

	roomy     = 0.6              // of the processors' time is in use at most, after some were given back
	shortHold = time.Second      // All processors are kept for so long at least,
	longHold  = time.Minute      // and at most for so long
	regret    = 10 * time.Second // where they were given back and needed again within this.
)

// period is what happened between two looks.
type period struct {
	length time.Duration
	used   time.Duration // processor time of this program
	idle   time.Duration // processor time nobody on the machine used; asked for only while saturated

	waited, long uint64 // goroutines that waited for a processor (Go counts one of eight); longer than longWait
}

// processors decides how many to use.
type processors struct {
	most int // as many as Go would use by itself
	now  int

	hold       time.Duration // how long all are kept next time
	sinceLower time.Duration // since some were given back
	seen, used time.Duration // since the last change, or the last try to give some back

	waits        time.Duration // of which the following are
	waited, long uint64
}

func newProcessors(most int) *processors {
	return &processors{most: most, now: most, hold: shortHold, sinceLower: regret}
}

// next returns how many to use after p.
func (s *processors) next(p period) int {
	s.sinceLower += p.length
	s.seen += p.length
	s.used += p.used
	switch {
	case s.now < s.most && (2*p.idle >= p.length || s.jammed(p)):
		s.raise()
	case s.seen >= s.hold:
		s.lower()
	}
	return s.now
}

// jammed says whether goroutines had to wait, looked at once in jam: a short time
// without a processor is other programs' doing as often as a lack of ours.
func (s *processors) jammed(p period) bool {
	s.waits += p.length
	s.waited += p.waited
	s.long += p.long
	if s.waits < jam {
		return false
	}
	jammed := s.long >= 2 && 10*s.long >= s.waited
	s.waits, s.waited, s.long = 0, 0, 0
	return jammed
}

func (s *processors) raise() {
	if s.sinceLower < regret {
		s.hold = min(2*s.hold, longHold)
	} else {
		s.hold = shortHold
	}
	s.now, s.seen, s.used = s.most, 0, 0
}

func (s *processors) lower() {
	need := int(math.Ceil(float64(s.used) / float64(s.seen) / roomy))
	if need = max(need, 1); need < s.now {
		s.now, s.sinceLower = need, 0
	}
	s.seen, s.used = 0, 0
}

// saturates says whether a program with now processors may lack one.
func (p period) saturates(now int) bool {
	return float64(p.used) >= saturated*float64(now)*float64(p.length)
}

// holdProcessors blocks until ctx ends. It does nothing where the operator chose the
// number, by GOMAXPROCS, where there is one only, or where the system does not tell what
// a program uses.
func holdProcessors(ctx context.Context) {
	most := runtime.GOMAXPROCS(0)
	used, ok := processorTime()
	if os.Getenv("GOMAXPROCS") != "" || most == 1 || !ok {
		return
	}
	s := newProcessors(most)
	w := waits{sample: []metrics.Sample{{Name: "/sched/latencies:seconds"}}}
	w.read()
	var short shortage
	timer := time.NewTimer(tick)
	defer timer.Stop()
	at := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		u, _ := processorTime()
		p := period{length: now.Sub(at), used: u - used}
		p.waited, p.long = w.read()
		if p.saturates(s.now) && s.now < s.most {
			p.idle = short.idle(now, p.length)
		} else {
			short = shortage{}
		}
		if before := s.now; s.next(p) != before {
			runtime.GOMAXPROCS(s.now)
			short = shortage{}
		}
		at, used = now, u
		if p.used*20 < p.length {
			timer.Reset(idleTick)
		} else {
			timer.Reset(tick)
		}
	}
}

// shortage is a time in which the program is saturated.
type shortage struct {
	since time.Time
	spare time.Duration // what the machine's processors had idled at since
}

// idle returns the share of the machine's idle time that belongs to the last period, 0
// before the shortage lasted for long enough to tell. A machine that does not tell has
// idle processors.
func (s *shortage) idle(now time.Time, period time.Duration) time.Duration {
	spare, ok := idleTime()
	switch {
	case !ok:
		return period
	case s.since.IsZero():
		s.since, s.spare = now, spare
	case now.Sub(s.since) >= lacking:
		return time.Duration(float64(spare-s.spare) / float64(now.Sub(s.since)) * float64(period))
	}
	return 0
}

// idleTime returns for how long the machine's processors had nothing to do since it was
// started, all together.
func idleTime() (time.Duration, bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := bytes.Fields(line) // cpu user nice system idle iowait ..., in hundredths of a second
	if len(fields) < 6 {
		return 0, false
	}
	idle, err1 := strconv.ParseInt(string(fields[4]), 10, 64)
	waiting, err2 := strconv.ParseInt(string(fields[5]), 10, 64)
	return time.Duration(idle+waiting) * 10 * time.Millisecond, err1 == nil && err2 == nil
}

// waits reads how long goroutines that were ready waited for a processor.
type waits struct {
	sample      []metrics.Sample
	total, long uint64
}

// read returns how many waited since the last reading.
func (w *waits) read() (waited, long uint64) {
	metrics.Read(w.sample)
	h := w.sample[0].Value.Float64Histogram()
	total, beyond := uint64(0), uint64(0)
	for i, n := range h.Counts {
		total += n
		if h.Buckets[i] >= longWait.Seconds() {
			beyond += n
		}
	}
	waited, long = total-w.total, beyond-w.long
	w.total, w.long = total, beyond
	return waited, long
}
