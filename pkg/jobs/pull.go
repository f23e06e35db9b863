package jobs

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// The library's pull iterators stall now and then on a loaded machine, so the
// worker sends its pull requests itself: a request names how many jobs it wants
// and an inbox that identifies it, and ends by deliveries, by a status, or by
// its time.
const (
	pullExpires = time.Second            // how long the broker keeps a request; also how long a stop can take
	pullGrace   = 500 * time.Millisecond // a request not heard of for so much longer was lost
	pullBackoff = 100 * time.Millisecond // after a refusal
	lowEvery    = time.Second            // lower classes are asked about at least so often
	lowPatience = 10 * time.Millisecond  // start that an interactive job has over lower ones for the last slot
	maxLowBatch = 256
)

// pull is one request for jobs.
type pull struct {
	class Class
	left  int // jobs it may still bring
	until time.Time
}

// ask sends one pull request. The caller holds k.mu.
func (k *Consumer) ask(class Class, n int, now time.Time) {
	k.token++
	p := &pull{class: class, left: n, until: now.Add(pullExpires + pullGrace)}
	var body []byte
	if class == Interactive {
		body = fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, n, pullExpires.Nanoseconds())
		k.slots.asked += n
	} else {
		body = fmt.Appendf(nil, `{"batch":%d,"no_wait":true}`, n)
		k.slots.askedLow += n
	}
	k.pulls[k.token] = p
	subject := k.conn.apiPrefix + "CONSUMER.MSG.NEXT." + k.conn.n.jobsStream(class) + "." + k.conn.n.consumer(k.cfg.Pool)
	inbox := k.inbox + "." + strconv.FormatUint(k.token, 36)
	if err := k.conn.nc.PublishRequest(subject, inbox, body); err != nil {
		k.endPull(k.token, p)
		k.notBefore = now.Add(pullBackoff)
	}
}

// endPull forgets a request and what it still wanted. The caller holds k.mu.
func (k *Consumer) endPull(token uint64, p *pull) {
	delete(k.pulls, token)
	if p.class == Interactive {
		k.slots.asked -= p.left
	} else {
		k.slots.askedLow -= p.left
	}
	p.left = 0
}

// refill asks for as many jobs as there are free slots. The caller holds k.mu.
func (k *Consumer) refill(now time.Time) {
	if now.Before(k.notBefore) {
		return
	}
	if n := k.slots.want(); n > 0 {
		k.ask(Interactive, n, now)
	}
	if k.slots.askedLow == 0 && !now.Before(k.lowAt) {
		if n := min(k.slots.wantLow(), maxLowBatch); n > 0 {
			k.ask(k.lowNext, n, now)
		}
	}
}

// lapse forgets requests whose end was never told, and asks again.
func (k *Consumer) lapse(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for token, p := range k.pulls {
		if now.After(p.until) {
			k.endPull(token, p)
		}
	}
	k.refill(now)
	k.settle()
}

// onPull takes what a pull request brought: a job, under the job's own subject, or
// the request's end, under the inbox that identifies the request.
func (k *Consumer) onPull(m *nats.Msg) {
	now := time.Now()
	id, ended := strings.CutPrefix(m.Subject, k.inbox+".")
	k.mu.Lock()
	defer k.mu.Unlock()
	if ended {
		if token, err := strconv.ParseUint(id, 36, 64); err == nil && m.Header != nil {
			k.pullEnded(token, k.pulls[token], m.Header.Get("Status"), now)
		}
		return
	}
	k.pullBrought(m.Subject)
	if !k.slots.take() {
		k.giveBack(m)
		return
	}
	k.wg.Go(func() { k.run(m, now) })
	k.refill(now)
}

// pullBrought books a delivered job on the oldest request of its class, which the
// broker serves first. The caller holds k.mu.
func (k *Consumer) pullBrought(subject string) {
	var oldest uint64
	for token, p := range k.pulls {
		if (oldest == 0 || token < oldest) && strings.HasPrefix(subject, k.conn.n.classPrefix(p.class)) {
			oldest = token
		}
	}
	p := k.pulls[oldest]
	if p == nil { // of a request given up already
		return
	}
	p.left--
	if p.class == Interactive {
		k.slots.asked--
	} else {
		k.slots.askedLow--
	}
	if p.left == 0 {
		delete(k.pulls, oldest)
	}
}

// pullEnded takes the status that ends a request. The caller holds k.mu.
func (k *Consumer) pullEnded(token uint64, p *pull, status string, now time.Time) {
	if status == "" || status == "100" || p == nil { // an idle heartbeat, or a request given up already
		return
	}
	k.endPull(token, p)
	switch {
	case status == "409" || status == "503": // no leader, no consumer, too many requests
		k.notBefore = now.Add(pullBackoff)
		if status == "503" {
			k.missing.Store(true)
		}
	case p.class == Background:
		k.lowNext = Batch
	case p.class == Batch:
		k.lowNext = Background
		k.lowAt = now.Add(lowEvery)
	}
	k.refill(now)
	k.settle()
}

// giveBack returns a job that arrived at a full or stopping worker. The caller
// holds k.mu.
func (k *Consumer) giveBack(m *nats.Msg) {
	nak := ackNak
	if k.slots.stopping { // the requests of this worker may still be open: not straight back to it
		nak = nakIn(pullBackoff)
	}
	_ = k.conn.nc.Publish(m.Reply, nak)
}

// onHint asks for jobs of lower classes at once: one was just submitted.
func (k *Consumer) onHint(*nats.Msg) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lowAt = time.Time{}
	k.refill(time.Now())
}

// released gives a slot back and asks for the next job.
func (k *Consumer) released() {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.slots.release()
	if k.slots.free() == 1 && k.lowAt.Before(now) { // the last slot: interactive first
		k.lowAt = now.Add(lowPatience)
		k.lowTimer.Reset(lowPatience)
	}
	k.refill(now)
	k.settle()
}

func nakIn(d time.Duration) []byte { return fmt.Appendf(nil, `-NAK {"delay":%d}`, d.Nanoseconds()) }
