package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	watchEvery   = 250 * time.Millisecond
	watchIdle    = 500 * time.Millisecond  // while no job is open here
	stalledAfter = 1500 * time.Millisecond // a watch so late was itself held up: it blames nobody
	publishAgain = 2 * time.Second         // without an ack or an event
	maxPublish   = 4
	maxLost      = 3                // attempts that may die with their workers
	askTimeout   = 1 * time.Second  // for a worker's sign of life
	strandedWait = 1 * time.Second  // for the Started of a job that a dead worker may have been given
	lookEvery    = 30 * time.Second // a job that nobody runs is looked for in the queue so often
	lookMost     = 16               // jobs looked for together
	purgeAfter   = 30 * time.Second // a job given up before its ack came is swept away then
)

var (
	ackNak   = []byte("-NAK")
	ackTerm  = []byte("+TERM")
	ackAck   = []byte("+ACK")
	progress = []byte("+WPI")
)

// watch publishes again what was not acknowledged, and gives the jobs of dead
// workers to others, until Close.
func (cl *Client) watch() {
	tick := time.NewTimer(watchEvery)
	defer tick.Stop()
	asking := &asking{open: map[string]bool{}}
	last := time.Now()
	for {
		select {
		case <-cl.ctx.Done():
			asking.wg.Wait()
			return
		case <-tick.C:
		}
		now := time.Now()
		late := now.Sub(last) > stalledAfter
		last = now
		if late || cl.deaf.Swap(false) || cl.conn.Ready() != nil {
			cl.workers.excuse(now)
			cl.heardAll = now
			tick.Reset(watchEvery)
			continue
		}
		silent := cl.workers.silent(now)
		for _, w := range silent {
			asking.begin(w, cl.askWorker)
		}
		if len(silent) > 0 {
			asking.begin("broker", func(string) { cl.listen() })
		}
		if cl.missing.Swap(false) {
			asking.begin("streams", func(string) { cl.restore() })
		}
		cl.forgetControls(now)
		var idle []*Stream
		all := cl.all()
		for _, s := range all {
			cl.tend(s, now)
			if len(idle) < lookMost && s.unseen(now) {
				idle = append(idle, s)
			}
		}
		if len(idle) > 0 {
			asking.begin("", func(string) { cl.look(idle, now) })
		}
		if len(all) == 0 {
			tick.Reset(cl.conn.untilRound(watchIdle))
		} else {
			tick.Reset(cl.conn.untilRound(watchEvery))
		}
	}
}

// forgetControls drops the addresses of workers that were told nothing for long.
func (cl *Client) forgetControls(now time.Time) {
	if now.Sub(cl.swept) < forgetAfter/10 {
		return
	}
	cl.swept = now
	cl.mu.Lock()
	defer cl.mu.Unlock()
	for control, o := range cl.controls {
		if o.idle(now) > forgetAfter {
			delete(cl.controls, control)
		}
	}
}

func (cl *Client) all() []*Stream {
	cl.mu.RLock()
	defer cl.mu.RUnlock()
	all := make([]*Stream, 0, len(cl.streams))
	for _, s := range cl.streams {
		all = append(all, s)
	}
	return all
}

// tend looks after one stream.
func (cl *Client) tend(s *Stream, now time.Time) {
	s.mu.Lock()
	closed, ended, known, control := s.closed, s.ended, s.known, s.control
	heard := s.heard
	waited, tries := now.Sub(s.published), s.tries
	s.mu.Unlock()
	switch {
	case closed && !known && s.kept && tries < maxPublish: // its client left; the job was promised all the same
		if waited > publishAgain {
			_ = cl.publish(s) // it comes again
		}
	case closed && !known && s.kept:
		cl.forget(s.job)
	case closed && !known && waited > purgeAfter:
		cl.sweep(s)
	case closed || ended:
	case !known && waited > publishAgain && tries >= maxPublish:
		s.mu.Lock()
		s.refused = true
		s.mu.Unlock()
		if s.takeBack != nil {
			s.takeBack()
		}
		s.fail(protocol.ErrUnavailable("The queue did not confirm the request. Please try again later.", 2*time.Second))
	case !known && waited > publishAgain:
		if err := cl.publish(s); err != nil {
			cl.log.Warn("job not published again", "job_id", s.job.String(), "error", err)
		}
	case control != "":
		h := cl.workers.health(control, now)
		if h >= dead || (now.Sub(heard) >= hopelessAfter && now.Sub(cl.heardAll) >= hopelessAfter) {
			cl.recover(s, control, h)
		}
	}
}

// recover takes a job from a worker that is dead, or alive and silent about the
// job for so long that it does not know it any more: it was started anew under its
// old name, or gave up telling the end.
func (cl *Client) recover(s *Stream, control string, h health) {
	s.mu.Lock()
	if s.closed || s.ended || s.control != control {
		s.mu.Unlock()
		return
	}
	if s.forwarded && !s.replay {
		ack := s.ack
		s.mu.Unlock()
		if h != dead {
			s.fail(errWorkerLost(s.job, s.kept, s.keyed))
			if s.kept && ack != "" { // it runs again, for whoever asks later
				_ = cl.conn.nc.Publish(ack, ackNak)
			}
		}
		return
	}
	if h >= dead {
		s.lost++
	}
	lost, ack := s.lost, s.ack
	s.control, s.ack = "", ""
	s.mu.Unlock()
	cl.log.Warn("worker lost", "job_id", s.job.String(), "control", control, "attempts_lost", lost)
	if h >= dead && lost >= maxLost {
		s.fail(errWorkerLost(s.job, s.kept, s.keyed))
		return
	}
	if ack != "" {
		_ = cl.conn.nc.Publish(ack, ackNak)
	}
}

// asking keeps one question open for each silent worker.
type asking struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	open map[string]bool
}

func (a *asking) begin(worker string, ask func(string)) {
	a.mu.Lock()
	busy := a.open[worker]
	a.open[worker] = true
	a.mu.Unlock()
	if busy {
		return
	}
	a.wg.Go(func() {
		ask(worker)
		a.mu.Lock()
		delete(a.open, worker)
		a.mu.Unlock()
	})
}

// listen finds out whether it is the broker that says nothing, or the way to it, before
// a worker is blamed: that shows only after two missed pings.
func (cl *Client) listen() {
	began := time.Now()
	if cl.conn.nc.FlushTimeout(askTimeout) == nil {
		cl.workers.hears(began)
		return
	}
	cl.workers.excuse(time.Now())
	cl.deaf.Store(true)
}

// askWorker asks a silent worker whether it is there. That nobody listens at its
// address any more is certain: its connection is gone.
func (cl *Client) askWorker(control string) {
	ctx, cancel := context.WithTimeout(cl.ctx, askTimeout)
	defer cancel()
	_, err := cl.conn.nc.RequestWithContext(ctx, control, nil)
	switch {
	case err == nil:
		cl.workers.seen(control, time.Now())
	case errors.Is(err, nats.ErrNoResponders):
		cl.workers.lost(control)
		cl.log.Warn("worker gone", "control", control)
		cl.releaseStranded(time.Now())
	}
}

// releaseStranded hands back jobs that were delivered to a worker which died
// before it could announce them: the broker counts them as delivered and nobody
// has started them. Without it they would wait for their lease to run out.
func (cl *Client) releaseStranded(death time.Time) {
	select {
	case <-cl.ctx.Done():
		return
	case <-time.After(strandedWait):
	}
	waiting := map[poolClass][]*Stream{}
	for _, s := range cl.all() {
		s.mu.Lock()
		if !s.closed && s.control == "" && s.stored != 0 && s.born.Before(death) {
			pc := poolClass{s.pool, s.class}
			waiting[pc] = append(waiting[pc], s)
		}
		s.mu.Unlock()
	}
	for pc, streams := range waiting {
		stream, consumer := cl.conn.n.jobsStream(pc.class), cl.conn.n.consumer(pc.pool)
		info, err := cl.conn.consumerInfo(cl.ctx, pc)
		if err != nil {
			cl.log.Warn("stranded jobs wait for their lease", "pool", pc.pool, "jobs", len(streams), "error", err)
			continue
		}
		for _, s := range streams {
			if s.stored > info.Delivered.Stream {
				continue // still waits in the queue
			}
			ack := fmt.Sprintf("$JS.ACK.%s.%s.1.%d.%d.%d.0", stream, consumer, s.stored, info.Delivered.Consumer, death.UnixNano())
			_ = cl.conn.nc.Publish(ack, ackNak)
		}
	}
}
