package batch

import (
	"sync"
	"time"
)

const (
	// rateSpan is over how many seconds finished lines are counted.
	rateSpan = 4
	// hungryFor is how long a batch that asked for room counts as wanting it.
	hungryFor = 2 * time.Second
	// mostBytes bounds what all lines in the queue from here take there: large
	// requests of those who wait need room, too.
	mostBytes = 128 << 20
	// sharesFor is how long the shares stand before they are worked out anew.
	sharesFor = 50 * time.Millisecond
)

// window decides how many lines are in the queue, and whose. A pool gets twice as
// many as it runs, or as it finished within the last seconds, so that its slots never
// wait for a line and autoscalers see what waits. Each tenant that has lines to
// submit has the same share of that, and within it each of its batches. It does no
// I/O; time is the caller's.
type window struct {
	least, most int

	mu    sync.Mutex
	pools map[string]*poolWindow
	bytes int64 // of all lines that are in a lane
}

// poolWindow is what a pool does for batches.
type poolWindow struct {
	lanes    map[string]*lane // by batch
	started  int
	finished [rateSpan]int // by second, a ring
	second   int64         // the newest of them

	batches map[string]int // by tenant: those that want room
	counted time.Time      // when batches was
}

// lane is what one batch has in the queue of one pool.
type lane struct {
	tenant  string
	queued  int       // submitted and not done, started or not
	started int       // of these
	bytes   int64     // of these
	asked   time.Time // for room
}

func newWindow(least, most int) *window {
	return &window{least: min(least, most), most: most, pools: map[string]*poolWindow{}}
}

// room asks for room for lines of a batch in the queue of a pool: how many it may
// have there, and how many it has.
func (w *window) room(batch, tenant, pool string, now time.Time) (may, has int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pools[pool]
	if p == nil {
		p = &poolWindow{lanes: map[string]*lane{}}
		w.pools[pool] = p
	}
	l := p.lanes[batch]
	if l == nil {
		l = &lane{tenant: tenant}
		p.lanes[batch] = l
		p.counted = time.Time{}
	}
	l.asked = now
	p.share(now)
	size := min(max(2*max(p.started, p.rate(now)), w.least), w.most)
	may = max(size/max(len(p.batches), 1)/max(p.batches[tenant], 1), 1)
	if w.bytes >= mostBytes {
		may = 1
	}
	return may, l.queued
}

// leave takes a batch out of every pool.
func (w *window) leave(batch string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for pool, p := range w.pools {
		l := p.lanes[batch]
		if l == nil {
			continue
		}
		p.started -= l.started
		w.bytes -= l.bytes
		p.counted = time.Time{}
		if delete(p.lanes, batch); len(p.lanes) == 0 {
			delete(w.pools, pool)
		}
	}
}

// submitted counts a line in, and its bytes.
func (w *window) submitted(batch, pool string, bytes int64) {
	w.change(batch, pool, func(_ *poolWindow, l *lane) {
		l.queued++
		l.bytes += bytes
		w.bytes += bytes
	})
}

// began notes that a worker runs the line.
func (w *window) began(batch, pool string) {
	w.change(batch, pool, func(p *poolWindow, l *lane) { l.started++; p.started++ })
}

// ended counts a line out; done says that it need not come again.
func (w *window) ended(batch, pool string, bytes int64, started, done bool, now time.Time) {
	w.change(batch, pool, func(p *poolWindow, l *lane) {
		l.queued--
		l.bytes -= bytes
		w.bytes -= bytes
		if started {
			l.started--
			p.started--
		}
		if done {
			p.turn(now)
			p.finished[p.second%rateSpan]++
		}
	})
}

func (w *window) change(batch, pool string, f func(p *poolWindow, l *lane)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.pools[pool]; p != nil && p.lanes[batch] != nil {
		f(p, p.lanes[batch])
	}
}

// share counts who wants room.
func (p *poolWindow) share(now time.Time) {
	if now.Sub(p.counted) < sharesFor && now.Sub(p.counted) >= 0 {
		return
	}
	p.counted, p.batches = now, map[string]int{}
	for _, l := range p.lanes {
		if now.Sub(l.asked) < hungryFor {
			p.batches[l.tenant]++
		}
	}
}

// turn moves the ring on to now's second.
func (p *poolWindow) turn(now time.Time) {
	second := now.Unix()
	if second-p.second > rateSpan {
		p.second, p.finished = second, [rateSpan]int{}
	}
	for p.second < second {
		p.second++
		p.finished[p.second%rateSpan] = 0
	}
}

// rate is how many lines were finished lately, in half of the ring's time.
func (p *poolWindow) rate(now time.Time) int {
	p.turn(now)
	sum := 0
	for _, n := range p.finished {
		sum += n
	}
	return sum / 2
}
