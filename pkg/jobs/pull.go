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
//
// Nothing takes a request back. Giving up its inbox would, but on a cluster what the
// consumer's leader sent meanwhile would reach nobody and wait for its lease to run
// out. So requests live briefly, and a stop waits for the last one; where nothing comes,
// each lives twice as long as the one before, since an idle worker shall cost the broker
// little.
const (
	pullExpires = 250 * time.Millisecond  // how long the broker keeps a request
	pullLongest = time.Second             // and one that follows others nothing came of; also how long an idle stop takes
	pullGrace   = 1250 * time.Millisecond // a request not heard of for so much longer was lost
	pullBackoff = 100 * time.Millisecond  // after a refusal
	lowEvery    = time.Second             // lower classes are asked about at least so often
	lowPatience = 10 * time.Millisecond   // start that an interactive job has over lower ones for the last slot
	lowSoon     = 20 * time.Millisecond   // pause after a hint that nothing came of
	lowLater    = 160 * time.Millisecond  // and after the second time
	maxLowBatch = 256
)

// pull is one request for jobs. The broker's deliveries do not say which request
// they answer, its statuses do: so the slots count what is asked for in all, and
// a request is only remembered to know when it ended.
type pull struct {
	low   bool // of a lower class
	n     int  // jobs asked for
	until time.Time
}

// ask sends one pull request. The caller holds k.mu.
func (k *Consumer) ask(class Class, n int, now time.Time) {
	k.token++
	p := pull{low: class != Interactive, n: n, until: now.Add(k.pullFor + pullGrace)}
	body := fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, n, k.pullFor.Nanoseconds())
	if p.low {
		body = fmt.Appendf(nil, `{"batch":%d,"no_wait":true}`, n)
	}
	subject := k.conn.apiPrefix + "CONSUMER.MSG.NEXT." + k.conn.n.jobsStream(class) + "." + k.conn.n.consumer(k.cfg.Pool)
	inbox := k.inbox + "." + strconv.FormatUint(k.token, 36)
	if err := k.conn.nc.PublishRequest(subject, inbox, body); err != nil {
		k.notBefore = now.Add(pullBackoff)
		return
	}
	k.pulls[k.token] = p
	*k.asked(p.low) += n
}

// asked is the count of jobs asked for. The caller holds k.mu.
func (k *Consumer) asked(low bool) *int {
	if low {
		return &k.slots.askedLow
	}
	return &k.slots.asked
}

// endPull forgets a request that leaves rest jobs undelivered. The caller holds k.mu.
func (k *Consumer) endPull(token uint64, p pull, rest int) {
	delete(k.pulls, token)
	most := 0 // that the remaining requests can bring
	for _, other := range k.pulls {
		if other.low == p.low {
			most += other.n
		}
	}
	asked := k.asked(p.low)
	*asked = min(max(*asked-rest, 0), most)
}

// delivered counts a job that arrived. When nothing is asked for any more, the
// requests are all answered. The caller holds k.mu.
func (k *Consumer) delivered(low bool) {
	asked := k.asked(low)
	if *asked > 0 {
		*asked--
	}
	if *asked == 0 {
		for token, p := range k.pulls {
			if p.low == low {
				delete(k.pulls, token)
			}
		}
	}
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

// lapse forgets requests whose end was never told, and asks again. The broker is
// silent too when it does not know the pool's consumer, so that is looked after. It
// returns whether a request is under way.
func (k *Consumer) lapse(now time.Time) (asks bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for token, p := range k.pulls {
		if now.After(p.until) {
			k.endPull(token, p, 0)
			k.missing.Store(true)
		}
	}
	k.refill(now)
	k.settle()
	return len(k.pulls) > 0
}

// onPull takes what a pull request brought: a job, or the request's end.
func (k *Consumer) onPull(m *nats.Msg) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if status := m.Header.Get("Status"); status != "" && len(m.Data) == 0 {
		k.pullEnded(m, status, now)
		return
	}
	k.pullFor = pullExpires
	k.delivered(!strings.HasPrefix(m.Subject, k.interactive))
	if !k.slots.take() {
		k.giveBack(m)
		return
	}
	k.runners.start(arrival{m, now})
	k.refill(now)
}

// pullEnded takes the status that ends a request. The caller holds k.mu.
func (k *Consumer) pullEnded(m *nats.Msg, status string, now time.Time) {
	token, err := strconv.ParseUint(m.Subject[lastToken(m.Subject):], 36, 64)
	p, known := k.pulls[token]
	if err != nil || !known || status == "100" { // given up already, or a heartbeat
		return
	}
	rest, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		rest = p.n
	}
	k.endPull(token, p, rest)
	switch {
	case status == "409" || status == "503": // no leader, no consumer, too many requests
		k.notBefore = now.Add(pullBackoff)
		if status == "503" || m.Header.Get("Description") == "Consumer Deleted" {
			k.missing.Store(true)
		}
	case p.low && k.lowNext == Background:
		k.lowNext = Batch
	case p.low:
		k.lowNext = Background
		k.lowAt = now.Add(k.lowPause())
	case rest == p.n:
		k.pullFor = min(2*k.pullFor, pullLongest)
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

// onHint asks for jobs of lower classes at once: one was just submitted. A request that
// is under way may have been answered before that, and the hint may have overtaken the
// job on its way into the queue, so it is asked again a little later.
func (k *Consumer) onHint(*nats.Msg) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hinted = k.slots.askedLow > 0
	k.lowAgain = 2
	k.lowAt = time.Time{}
	k.refill(time.Now())
}

// lowPause is how long to wait until the lower classes, which have nothing, are asked
// again. The caller holds k.mu.
func (k *Consumer) lowPause() time.Duration {
	pause := lowEvery
	switch {
	case k.hinted:
		k.hinted = false
		return 0
	case k.lowAgain > 0:
		if pause = lowSoon; k.lowAgain == 1 {
			pause = lowLater
		}
		k.lowAgain--
		k.lowTimer.Reset(pause)
	}
	return pause
}

// lowIsDue asks for jobs of lower classes if it is time to.
func (k *Consumer) lowIsDue() {
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
