package batch

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// killed kills a driver at its nth durable write, from 1, and reports whether it
// came to that.
func killed(m *machine, n int64) (hook func(what string), reached func() string) {
	var count atomic.Int64
	var at atomic.Value
	return func(what string) {
			if count.Add(1) == n {
				at.Store(what)
				m.die()
			}
		}, func() string {
			what, _ := at.Load().(string)
			return what
		}
}

// killDriver starts a driver that dies at its nth durable write.
func (r *rig) killDriver(n int64) (reached func() string) {
	var m machine
	hook, reached := killed(&m, n)
	ready := make(chan struct{})
	started := r.driver(func(d *Driver) {
		d.wrote = func(what string) { <-ready; hook(what) }
	})
	m = *started
	close(ready)
	return reached
}

// history checks that a batch only ever moves forward.
type history struct {
	mu   sync.Mutex
	last protocol.Batch
}

// order is how far each status is.
var order = map[protocol.BatchStatus]int{
	protocol.BatchValidating: 0, protocol.BatchInProgress: 1, protocol.BatchFinalizing: 2, protocol.BatchCancelling: 3,
	protocol.BatchFailed: 4, protocol.BatchCompleted: 4, protocol.BatchExpired: 4, protocol.BatchCancelled: 4,
}

func (h *history) saw(t testing.TB, b *protocol.Batch) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.last
	if order[b.Status] < order[was.Status] || was.Status.Ended() && b.Status != was.Status {
		t.Errorf("%s became %s", was.Status, b.Status)
	}
	if b.Counts.Total < was.Counts.Total || b.Counts.Completed < was.Counts.Completed || b.Counts.Failed < was.Counts.Failed {
		t.Errorf("counts fell from %+v to %+v", was.Counts, b.Counts)
	}
	h.last = *b
}

// How a batch of the kill test ends.
var kills = map[string]struct {
	input  string
	change func(b *jobs.StoredBatch)
	cancel bool
	status protocol.BatchStatus
}{
	"completed": {input: words("hi", "bad", "busy", "hi") + storedLine("kept", "hi"), status: protocol.BatchCompleted},
	"failed":    {input: words("hi") + words("hi"), status: protocol.BatchFailed},
	"expired": {
		input:  words("hi", "slow", "bad"),
		change: func(b *jobs.StoredBatch) { b.Object.ExpiresAt = b.Object.CreatedAt + 4 }, status: protocol.BatchExpired,
	},
	"cancelled": {input: words("hi", "slow", "bad"), cancel: true, status: protocol.BatchCancelled},
}

// TestDriverDiesAfterEachWrite kills the driver after each single durable write, and
// has a second one finish: every line is in exactly one file, the counts reach the
// total, and no status or count ever goes back.
func TestDriverDiesAfterEachWrite(t *testing.T) {
	if testing.Short() && os.Getenv("CI") != "true" {
		t.Skip("some fifty drivers die: takes half a minute")
	}
	for name, tt := range kills {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := int64(1); n < 40; n += 4 {
				var over atomic.Bool
				t.Run(fmt.Sprintf("from %d", n), func(t *testing.T) {
					for k := n; k < n+4; k++ {
						t.Run(strconv.FormatInt(k, 10), func(t *testing.T) {
							t.Parallel()
							r := newRig(t, jobstest.One(t))
							r.cfg.Drain = 300 * time.Millisecond
							r.worker(4)
							reached := r.killDriver(k)
							id := r.create(tt.input, tt.change)
							if tt.cancel {
								r.cancelOnceTwoAreDone(id, reached)
							}
							var seen history
							r.await(id, patience, "ended, or its driver dead", func(b *protocol.Batch) bool {
								seen.saw(t, b)
								return b.Status.Ended() || reached() != ""
							})
							r.driver(nil)
							b := r.await(id, patience, "ended", func(b *protocol.Batch) bool {
								seen.saw(t, b)
								return b.Status.Ended()
							})
							t.Logf("driver died after %q; %s", reached(), b.Status)
							if b.Status != tt.status {
								t.Errorf("%s", b.AppendJSON(nil))
							}
							if b.Status != protocol.BatchFailed {
								r.check(b, tt.input)
								r.kept(b, tt.input)
							}
							r.nothingLeft(id)
							seen.saw(t, &r.get(id).Object)
							if reached() == "" {
								over.Store(true) // there is no such write
							}
						})
					}
				})
				if over.Load() {
					return
				}
			}
			t.Error("it goes on for ever")
		})
	}
}

// cancelOnceTwoAreDone cancels a batch of which two lines come to an end, or whose
// driver died: then at once.
func (r *rig) cancelOnceTwoAreDone(id string, reached func() string) {
	r.t.Helper()
	r.await(id, patience, "two done, or its driver dead", func(b *protocol.Batch) bool {
		return b.Counts.Completed+b.Counts.Failed == 2 || reached() != ""
	})
	if r.get(id).Object.Counts.Total == 0 { // cancelled before it is counted: a test of its own
		second := r.driver(nil)
		r.await(id, patience, "counted", func(b *protocol.Batch) bool { return b.Counts.Completed+b.Counts.Failed == 2 })
		second.die()
	}
	if _, err := r.conn.CancelBatch(r.t.Context(), "acme", id); err != nil {
		r.t.Fatal(err)
	}
}

// TestDriversDieAtRandom runs batches of random lines while drivers die at random.
func TestDriversDieAtRandom(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		r.cfg.Drain = 100 * time.Millisecond
		r.worker(16)
		inputs := map[string]string{}
		for range 4 {
			prompts := make([]string, 1+rand.IntN(80))
			for i := range prompts {
				prompts[i] = []string{"hi", "hi", "hi", "bad", "busy"}[rand.IntN(5)]
			}
			input := words(prompts...)
			inputs[r.create(input, nil)] = input
		}
		for range 5 {
			reached := r.killDriver(1 + rand.Int64N(60))
			for end := time.Now().Add(3 * time.Second); reached() == "" && time.Now().Before(end); {
				sleep(t.Context(), 20*time.Millisecond)
			}
		}
		r.driver(nil)
		var seen history
		for id, input := range inputs {
			seen = history{}
			b := r.await(id, patience, "ended", func(b *protocol.Batch) bool {
				seen.saw(t, b)
				return b.Status.Ended()
			})
			if r.check(b, input); b.Status != protocol.BatchCompleted {
				t.Errorf("%s", b.AppendJSON(nil))
			}
		}
	})
}

// TestDriverHandsOver moves a batch from driver to driver while lines run: none of
// them runs again.
func TestDriverHandsOver(t *testing.T) {
	t.Parallel()
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := newRig(t, n)
		running, release := make(chan struct{}, 64), make(chan struct{})
		runs := r.blockingWorker(4, running, release)
		first := r.driver(nil)
		input := repeat("hi", 12)
		id := r.create(input, nil)
		<-running
		first.stop()
		r.driver(nil)
		r.await(id, patience, "taken over", func(*protocol.Batch) bool { return r.get(id).Fence == 2 })
		close(release)
		r.check(r.end(id, patience), input)
		if n := runs.Load(); n != 12 {
			t.Errorf("12 lines ran %d times", n)
		}
	})
}
