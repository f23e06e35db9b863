package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Place is where a queued job stands, as an estimate.
type Place struct {
	Position int64         // 1 is next
	Wait     time.Duration // 0: it is not known how fast the queue moves
}

// longestWait is the longest that is estimated: a queue that moves more slowly
// stands still.
const longestWait = 24 * time.Hour

// place estimates where a queued job stands. It is a courtesy: what cannot be found
// out is left out.
func (cl *Client) place(ctx context.Context, k *Kept, rec *record, seq uint64) {
	pc := poolClass{rec.job.Pool, rec.job.Class}
	info, err := cl.conn.consumerInfo(ctx, pc)
	if err != nil {
		return
	}
	now := time.Now()
	rate := cl.depth.sample(pc, info, now)
	if seq <= info.Delivered.Stream { // handed out before, or just now
		if now.Sub(rec.stored) > cl.conn.cfg.KeepEvents { // its beginning is no longer stored
			k.Status = KeptRunning
			return
		}
		k.Place = &Place{Position: 1, Wait: waitFor(1, rate)}
		return
	}
	position := int64(info.NumPending)
	if behind, err := cl.conn.behind(ctx, pc, seq); err == nil {
		position -= behind
	}
	position = max(position, 1)
	k.Place = &Place{Position: position, Wait: waitFor(position, rate)}
}

// PlaceOf estimates where a job stands that this client submitted just now. It asks
// nobody: the counts are up to a second old, and brought forward by the queue's speed.
func (cl *Client) PlaceOf(job *Job) Place {
	position, rate := cl.depth.position(poolClass{job.Pool, job.Class}, time.Now())
	return Place{Position: position, Wait: waitFor(position, rate)}
}

// position is the place of the job that was admitted last, 1 at least.
func (a *admission) position(pc poolClass, now time.Time) (position int64, rate float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.queueLocked(pc)
	position = d.waiting + d.since
	if !d.asked.IsZero() {
		position -= int64(d.rate * now.Sub(d.asked).Seconds())
	}
	return max(position, 1), d.rate
}

// waitFor is how long it takes until so many jobs were taken; 0 if that is not known.
func waitFor(position int64, rate float64) time.Duration {
	if rate <= 0 {
		return 0
	}
	seconds := float64(position) / rate
	if seconds > longestWait.Seconds() {
		return 0
	}
	return max(time.Duration(seconds*float64(time.Second)).Round(time.Second), time.Second)
}

// sample takes a consumer's counts, if the queue was not asked about just now,
// keeps them current for a while, and returns how many jobs are taken per second.
func (a *admission) sample(pc poolClass, info *jetstream.ConsumerInfo, now time.Time) (rate float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.queueLocked(pc)
	d.used = now
	if now.Sub(d.asked) >= depthEvery {
		d.update(int64(info.NumPending), info.Delivered.Consumer, now)
	}
	return d.rate
}

// behind counts the jobs of a queue that came after the one at seq.
func (c *Conn) behind(ctx context.Context, pc poolClass, seq uint64) (int64, error) {
	return c.countAfter(ctx, c.n.jobsStream(pc.class), c.n.poolFilter(pc.class, pc.pool), seq)
}

// countAfter counts the messages of a filter after the first one at or after seq, as
// some replica has them; errNotStored if that has none. A server counts them for the
// first message of a batch.
func (c *Conn) countAfter(ctx context.Context, stream, filter string, seq uint64) (int64, error) {
	req, err := json.Marshal(question{Seq: seq, NextFor: filter, Batch: 1})
	if err != nil {
		return 0, fmt.Errorf("count in %s: %w", stream, err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	m, err := c.nc.RequestWithContext(ctx, c.apiPrefix+"DIRECT.GET."+stream, req)
	if err != nil {
		return 0, fmt.Errorf("count in %s: %w", stream, err)
	}
	if _, ok := directMessage(m, stream); !ok {
		return 0, fmt.Errorf("count in %s: %w", stream, errNotStored)
	}
	n, err := strconv.ParseInt(m.Header.Get("Nats-Num-Pending"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("count in %s: %w", stream, err)
	}
	return n, nil
}
