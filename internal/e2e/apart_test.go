package e2e

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

// whole is the load that the system must bear.
const whole = 1000

// TestApart sends a thousand requests at once through two frontends and three workers,
// and compares every answer.
func TestApart(t *testing.T) {
	i := install(t, 2, 3)
	l := i.begin(t, whole, 0, i.clients...)
	l.wait(t, nil)
	i.idle(t, 2*soon)
	records, err := i.queue.usage(t.Context(), "up/"+words)
	if err != nil {
		t.Fatal(err)
	}
	finished := map[string]bool{} // a record whose ack was late is stored twice
	for _, r := range records {
		if r.Status == jobs.StatusFinished && r.Usage.TotalTokens > 0 {
			finished[r.Job] = true
		}
	}
	if len(finished) != whole {
		t.Errorf("%d jobs of %d are on record as finished", len(finished), whole)
	}
}

// busy waits until the model has so many calls open.
func (i *installation) busy(t *testing.T, calls int) {
	t.Helper()
	i.model.await(t, patience, words, "the model is busy", func(n callCount) bool { return n.open >= calls })
}

// TestWorkerKilled: a worker dies under a thousand requests. Every JSON answer arrives
// all the same, and every stream ends as it must.
func TestWorkerKilled(t *testing.T) {
	i := install(t, 2, 3)
	l := i.begin(t, whole, 30*time.Millisecond, i.clients...)
	i.busy(t, whole/3)
	i.workers[1].kill(t)
	broken := l.wait(t, func(r *request, err error) bool { return r.stream && errors.Is(err, errBroken) })
	if broken == 0 {
		t.Error("no stream broke: the worker was idle when it died")
	}
	t.Logf("%d of %d streams broke", broken, whole/2)
	// A job whose answer was out when the worker died waits for its lease.
	i.idle(t, 20*time.Second)
}

// TestFrontendKilled: nobody waits for the answers of a frontend that died, so its
// jobs end, and only those.
func TestFrontendKilled(t *testing.T) {
	i := install(t, 2, 2)
	lost := i.begin(t, 100, 200*time.Millisecond, i.clients[0])
	kept := i.begin(t, 20, 50*time.Millisecond, i.clients[1])
	i.busy(t, 100)
	i.frontends[0].kill(t)
	if n := lost.wait(t, func(*request, error) bool { return true }); n == 0 {
		t.Error("no answer was lost")
	}
	i.idle(t, 15*time.Second) // a 120-word answer takes 24 s
	kept.wait(t, nil)
}

// TestWorkerTerminated: a worker that is told to stop loses nothing.
func TestWorkerTerminated(t *testing.T) {
	i := install(t, 2, 3)
	l := i.begin(t, 400, 20*time.Millisecond, i.clients...)
	i.busy(t, 200)
	i.workers[0].terminate(t)
	i.workers[0].awaitEnd(t)
	l.wait(t, nil)
	i.idle(t, 2*soon)
}

// TestFrontendTerminated: a frontend that is told to stop finishes what it began, and
// begins nothing new.
func TestFrontendTerminated(t *testing.T) {
	i := install(t, 1, 2)
	l := i.begin(t, 200, 20*time.Millisecond, i.clients[0])
	i.busy(t, 150)
	i.frontends[0].terminate(t)
	i.frontends[0].await(t, "msg=stopping")
	eventually(t, 2*soon, "nobody listens", func(context.Context) error {
		conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(i.clients[0].url, "http://"), "/v1"))
		if err == nil {
			_ = conn.Close()
			return errors.New("it still listens")
		}
		return nil
	})
	l.wait(t, nil)
	i.frontends[0].awaitEnd(t)
	i.idle(t, 2*soon)
}

// TestFrontendFirst: requests come before any worker ever did, and are answered when
// one comes.
func TestFrontendFirst(t *testing.T) {
	i := install(t, 1, 0)
	l := i.begin(t, 6, 0, i.clients[0])
	i.queue.await(t, patience, 6)
	i.startWorker(t)
	l.wait(t, nil)
	i.idle(t, 2*soon)
}

// TestSingleSlot: one worker with one slot answers everybody, one after the other.
func TestSingleSlot(t *testing.T) {
	i := install(t, 1, 1, "--slots", "1")
	var open, overlaps atomic.Int32
	i.model.on(words, func(c *upstreamCall) { // over, for the worker, at its last byte
		if open.Add(1) > 1 {
			overlaps.Add(1)
		}
		if c.chat.Stream {
			c.say(chunkOf(`{"role":"assistant","content":`+quoted(c.text())+`}`, `"stop"`))
		}
		open.Add(-1)
		if c.chat.Stream {
			c.say("data: [DONE]\n\n")
			return
		}
		c.say(wholeAnswer(c.text(), 1))
	})
	l := i.begin(t, 30, time.Millisecond, i.clients[0])
	tiers := make(chan error)
	for _, stream := range []bool{true, false} {
		go func() {
			tiers <- i.clients[0].send(t.Context(), chat("up/"+words, "not urgent", stream, object{"service_tier": "flex"}), stream, "not urgent")
		}()
	}
	l.wait(t, nil)
	for range 2 {
		if err := <-tiers; err != nil {
			t.Errorf("flex: %v", err)
		}
	}
	if n := overlaps.Load(); n > 0 {
		t.Errorf("%d calls overlapped", n)
	}
	i.idle(t, 2*soon)
}

// TestNATSKilled: the queue dies under load and comes back with its data. What runs by
// then is answered, what comes meanwhile is refused in so many words, and nothing hangs.
func TestNATSKilled(t *testing.T) {
	i := install(t, 2, 3)
	const running = 200
	l := i.begin(t, running, 50*time.Millisecond, i.clients...)
	i.model.await(t, patience, words, "every request has begun", func(n callCount) bool { return n.begun >= running })
	i.nats.kill(t)
	open, _ := i.model.seen(words)
	down := i.begin(t, 20, 0, i.clients...)
	i.model.await(t, patience, words, "answers end while the queue is away", func(n callCount) bool { return n.open < open.open })
	i.startNATS(t)
	broken := l.wait(t, func(r *request, err error) bool { return r.stream && errors.Is(err, errBroken) })
	refused := down.wait(t, func(_ *request, err error) bool {
		status, ok := errors.AsType[*statusError](err)
		return ok && status.refusal != nil && (status.status == 503 || status.status == 504)
	})
	t.Logf("%d of %d streams broke; of 20 requests while the queue was away %d were refused", broken, running/2, refused)
	i.awaitModels(t)
	again := i.begin(t, 50, 0, i.clients...)
	again.wait(t, nil)
	i.idle(t, 20*time.Second) // the lease is the backstop
}
