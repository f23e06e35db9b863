package batch

import (
	"sync"
	"time"
)

const (
	// burstLines and burstBytes are how much all batches of a driver submit at once, at
	// most: what somebody waits for goes over the same connection, behind it.
	burstLines = 32
	burstBytes = 256 << 10
	// burstEvery is the pause after that: some 16,000 lines, or 128 MB, in a second.
	burstEvery = 2 * time.Millisecond
)

// pacer spreads the submission of lines, so that a window that opens wide is not
// filled in one go. It does no I/O; time is the caller's.
type pacer struct {
	mu    sync.Mutex
	since time.Time // the burst began
	lines int       // of it
	bytes int64     // of it
}

// pause returns how long to wait before the next line; 0 is not at all.
func (p *pacer) pause(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.since.Add(burstEvery).Sub(now)
	if left <= 0 || left > burstEvery { // the clock may have been set back
		p.since, p.lines, p.bytes = now, 0, 0
		return 0
	}
	if p.lines < burstLines && p.bytes < burstBytes {
		return 0
	}
	return left
}

// submitted counts a line.
func (p *pacer) submitted(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines++
	p.bytes += bytes
}
