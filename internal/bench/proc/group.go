package proc

import (
	"errors"
	"maps"
	"sync"
	"time"
)

// ErrUnsupported is returned where the system does not tell what processes cost.
var ErrUnsupported = errors.New("only Linux tells what processes cost")

// samplePause is the time between two looks.
const samplePause = 200 * time.Millisecond

// Usage is what processes have cost since they began, or in a time.
type Usage struct {
	CPU    time.Duration
	Memory int64 // bytes, now
	Peak   int64 // the most that was seen together since the group was watched
}

// Group is some processes with all their descendants. Its methods may be called by any
// goroutine.
type Group struct {
	roots []int
	stop  chan struct{}
	ended sync.WaitGroup

	mu   sync.Mutex            // guards all below
	seen map[int]time.Duration // CPU by thread, or by process where ticks are all there is
	rss  int64
	peak int64
}

// Watch looks at processes until Close. Without any, it is ErrUnsupported or an empty group.
func Watch(pids ...int) (*Group, error) {
	g := &Group{roots: pids, stop: make(chan struct{}), seen: map[int]time.Duration{}}
	if err := g.look(); err != nil {
		return nil, err
	}
	g.ended.Go(func() {
		ticker := time.NewTicker(samplePause)
		defer ticker.Stop()
		for {
			select {
			case <-g.stop:
				return
			case <-ticker.C:
				_ = g.look() // what has ended is seen no more; Usage says so where it matters
			}
		}
	})
	return g, nil
}

// Close ends looking. It may be called once.
func (g *Group) Close() {
	close(g.stop)
	g.ended.Wait()
}

// Usage looks, and returns what all have cost since they began. The error says that a
// process of the group is not there any more.
func (g *Group) Usage() (Usage, error) {
	err := g.look()
	g.mu.Lock()
	defer g.mu.Unlock()
	u := Usage{Memory: g.rss, Peak: g.peak}
	for d := range maps.Values(g.seen) {
		u.CPU += d
	}
	return u, err
}

func (g *Group) look() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	rss, err := look(g.roots, g.seen)
	g.rss, g.peak = rss, max(g.peak, rss)
	return err
}

// Of looks at processes once.
func Of(pids ...int) (Usage, error) {
	seen := map[int]time.Duration{}
	rss, err := look(pids, seen)
	u := Usage{Memory: rss, Peak: rss}
	for d := range maps.Values(seen) {
		u.CPU += d
	}
	return u, err
}
