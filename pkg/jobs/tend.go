package jobs

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// tend does what has to be done from time to time, for all attempts together: sign
// of life, leases, heartbeats, repeating what was not confirmed, lost pull
// requests. While there is nothing to look after it wakes only for the sign of life. It
// ends with k.stop.
func (k *Consumer) tend() {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	status := k.conn.nc.StatusChanged(nats.CONNECTED)
	defer k.conn.nc.RemoveStatusListener(status)
	var beaten, leased time.Time
	var restored time.Time
	connected := time.Now()
	for {
		select {
		case <-k.stop.Done():
			return
		case <-status: // requests of the old connection are void
			k.forgetPulls()
			beaten, leased = time.Time{}, time.Time{} // leases ran on meanwhile
		case <-tick.C:
		}
		now := time.Now()
		if k.conn.Ready() != nil {
			connected = now
		}
		if now.Sub(beaten) >= beatEvery-tendEvery/2 {
			beaten = now
			_ = k.conn.nc.PublishRequest(k.conn.n.aliveWorker(k.cfg.WorkerID), k.control, nil)
		}
		lease := now.Sub(leased) >= k.conn.cfg.AckWait/3
		if lease {
			leased = now
			k.forgetCancelled(now)
		}
		all := k.all()
		for _, a := range all {
			k.care(a, now, lease, now.Sub(connected) > insistFor)
		}
		if k.usage.again(now) {
			k.missing.Store(true)
		}
		k.question(now)
		if asks := k.lapse(now); asks && len(all) == 0 {
			tick.Reset(k.conn.untilRound(beatEvery))
		} else {
			tick.Reset(tendEvery)
		}
		if now.Sub(restored) >= restoreEvery && k.conn.Ready() == nil && k.missing.Swap(false) {
			restored = now
			k.aux.Go(k.restore)
		}
	}
}

// restore creates streams and the pool's consumers again if somebody deleted them, or
// the server lost them.
func (k *Consumer) restore() {
	ctx, cancel := context.WithTimeout(k.stop, restoreEvery)
	defer cancel()
	if err := k.conn.restore(ctx, k.cfg.Pool); err != nil && k.stop.Err() == nil {
		k.log.Warn("pool has no queue", "pool", k.cfg.Pool, "error", err)
	}
}

func (k *Consumer) all() []*Attempt {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]*Attempt, 0, len(k.attempts))
	for _, a := range k.attempts {
		all = append(all, a)
	}
	return all
}

// care looks after one attempt. insisted says that the connection was there for
// long enough to tell the end of any attempt that ended before.
func (k *Consumer) care(a *Attempt, now time.Time, lease, insisted bool) {
	a.mu.Lock()
	ended, heard, sent := a.ended, a.heard, a.sent
	owed, ack, handling := a.owed, a.ack, a.handling
	a.mu.Unlock()
	if handling != nil && handling.Err() != nil {
		k.overstays(a, now, context.Cause(handling))
	}
	if lease && (ended.IsZero() || owed) {
		_ = k.conn.nc.Publish(ack, progress)
	}
	if rec := a.kept.rec.Load(); rec != nil && rec.again(now) {
		k.missing.Store(true)
	}
	switch {
	case ended.IsZero():
		if now.Sub(sent) >= silentAfter {
			a.beat(now)
		}
	case heard:
		k.finish(a)
	case insisted && now.Sub(ended) > insistFor:
		a.drop(ErrCancelled)
		k.finish(a)
	case now.Sub(sent) >= insistEvery:
		a.beat(now)
	}
}

// overstays reports a handler that goes on although its context ended a while ago.
func (k *Consumer) overstays(a *Attempt, now time.Time, cause error) {
	switch {
	case a.cut.IsZero():
		a.cut = now
	case !a.reported && now.Sub(a.cut) >= stuckAfter:
		a.reported = true
		k.log.Error("attempt does not stop although it was told to",
			"job_id", a.job.ID, "attempt", a.number, "model", a.job.Model, "cause", cause, "after", stuckAfter)
	}
}

func (k *Consumer) forgetPulls() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for token, p := range k.pulls {
		k.endPull(token, p, p.n)
	}
	k.notBefore = time.Time{}
}
