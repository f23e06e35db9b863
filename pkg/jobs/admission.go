package jobs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	depthEvery   = time.Second
	depthForget  = time.Minute // pools not used for so long are not asked about
	retryDefault = 5 * time.Second
	retryLongest = time.Minute
)

// poolClass names a queue: the jobs of one class for one pool.
type poolClass struct {
	pool  string
	class Class
}

// queueDepth is what is known of one queue.
type queueDepth struct {
	waiting   int64     // jobs nobody has taken, when last asked
	since     int64     // submitted from here since then
	rate      float64   // jobs taken per second
	delivered uint64    // by the broker's count, when last asked
	asked     time.Time // zero: never
	used      time.Time
}

// update takes a newer count.
func (d *queueDepth) update(waiting int64, delivered uint64, now time.Time) {
	if !d.asked.IsZero() && delivered >= d.delivered {
		if passed := now.Sub(d.asked).Seconds(); passed > 0 {
			rate := float64(delivered-d.delivered) / passed
			d.rate = (d.rate + rate) / 2
		}
	}
	d.waiting, d.since, d.delivered, d.asked = waiting, 0, delivered, now
}

// full reports whether a further job would wait behind most others or more.
func (d *queueDepth) full(most int64) bool { return d.waiting > 0 && d.waiting+d.since >= most }

// retryAfter is how long it takes until a tenth of the queue is gone.
func (d *queueDepth) retryAfter() time.Duration {
	if d.rate <= 0 {
		return retryDefault
	}
	wait := time.Duration(float64(d.waiting+d.since) / 10 / d.rate * float64(time.Second))
	return min(max(wait.Round(time.Second), time.Second), retryLongest)
}

// admission refuses jobs for queues that are too long already.
type admission struct {
	most int64

	mu     sync.Mutex
	queues map[poolClass]*queueDepth
}

func newAdmission(most int64) *admission {
	return &admission{most: most, queues: map[poolClass]*queueDepth{}}
}

func (a *admission) queueLocked(pc poolClass) *queueDepth {
	d := a.queues[pc]
	if d == nil {
		d = &queueDepth{}
		a.queues[pc] = d
	}
	return d
}

// admit counts a job in, or says when to come again.
func (a *admission) admit(pc poolClass) error {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.queueLocked(pc)
	d.used = now
	if d.full(a.most) {
		return protocol.ErrOverloaded(d.retryAfter())
	}
	d.since++
	return nil
}

func (a *admission) retryAfter(pc poolClass) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.queueLocked(pc).retryAfter()
}

// inUse lists the queues to ask about, and forgets the others.
func (a *admission) inUse(now time.Time) []poolClass {
	a.mu.Lock()
	defer a.mu.Unlock()
	var used []poolClass
	for pc, d := range a.queues {
		if now.Sub(d.used) > depthForget {
			delete(a.queues, pc)
			continue
		}
		used = append(used, pc)
	}
	return used
}

func (a *admission) update(pc poolClass, info *jetstream.ConsumerInfo, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queueLocked(pc).update(int64(info.NumPending), info.Delivered.Consumer, now)
}

// pollDepth keeps the depths current until Close.
func (cl *Client) pollDepth() {
	tick := time.NewTimer(cl.conn.untilRound(depthEvery))
	defer tick.Stop()
	for {
		select {
		case <-cl.ctx.Done():
			return
		case <-tick.C:
			tick.Reset(cl.conn.untilRound(depthEvery))
		}
		for _, pc := range cl.depth.inUse(time.Now()) {
			info, err := cl.conn.consumerInfo(cl.ctx, pc)
			if err != nil {
				continue // the stream's own limit is the last wall
			}
			cl.depth.update(pc, info, time.Now())
		}
	}
}

// consumerInfo asks the broker about the queue of a class and pool.
func (c *Conn) consumerInfo(ctx context.Context, pc poolClass) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	consumer, err := c.js.Consumer(ctx, c.n.jobsStream(pc.class), c.n.consumer(pc.pool))
	if err != nil {
		return nil, fmt.Errorf("consumer of pool %s: %w", pc.pool, err)
	}
	return consumer.CachedInfo(), nil
}
