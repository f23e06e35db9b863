package jobs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// Readers get everything over restarts of all servers: what was said meanwhile, and
// the end.
func TestFollowOverRestarts(t *testing.T) {
	t.Parallel()
	natstest.EachOwn(t, func(t *testing.T, n *natstest.NATS) {
		r := newRig(t, n, Config{})
		front, other := r.client(), r.client()
		next := make(chan struct{})
		r.worker(1, func(ctx context.Context, a *Attempt) (Outcome, error) {
			for i := 0; ; i++ {
				select {
				case <-ctx.Done():
					return Outcome{}, context.Cause(ctx)
				case _, more := <-next:
					if !more {
						return Outcome{}, a.Chunk([]byte(event("", "stop")))
					}
				}
				if err := a.Chunk([]byte(event(fmt.Sprintf("w%d ", i), ""))); err != nil {
					return Outcome{}, err
				}
			}
		})
		j := keptStreamJob()
		s := r.submit(front, j)
		readers := []*Replay{r.follow(front, j, 0), r.follow(other, j, 0), r.follow(other, j, 2)}
		said := 0
		say := func() {
			next <- struct{}{}
			said++
		}
		say()
		awaitEvent(t, s, Chunk)
		for i := range n.Nodes() {
			n.Kill(i)
			say()
			n.Restart(t, i)
			say()
		}
		within(t, 30*time.Second, "connected again", func() bool { return front.conn.Ready() == nil && other.conn.Ready() == nil })
		say()
		close(next)
		all := spoken(said)
		for i, p := range readers {
			after := 0
			if i == 2 {
				after = 2
			}
			if res := gather(p, 30*time.Second); res.text != suffix(all, after) || res.failed != nil || res.err != nil {
				t.Errorf("reader %d: %+v", i, res)
			}
		}
		if k := r.kept(front, j); k.Status != KeptCompleted {
			t.Errorf("%+v", k)
		}
	})
}
