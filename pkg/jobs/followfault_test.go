package jobs

import (
	"context"
	"fmt"
	"strings"
	"testing"

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
		within(t, election, "connected again", func() bool { return front.conn.Ready() == nil && other.conn.Ready() == nil })
		say()
		close(next)
		all := spoken(said)
		for i, p := range readers {
			after := 0
			if i == 2 {
				after = 2
			}
			if res := gather(p, election); res.text != suffix(all, after) || res.failed != nil || res.err != nil {
				t.Errorf("reader %d: %+v", i, res)
			}
		}
		if k := r.kept(front, j); k.Status != KeptCompleted {
			t.Errorf("%+v", k)
		}
	})
}

// Events larger than a message, such as images, come whole to readers of what is
// stored and of what comes.
func TestFollowLargeEvents(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		words := []string{strings.Repeat("a", 2*maxPart+5), "b", strings.Repeat("c", 3*maxPart), strings.Repeat("d", recordFull)}
		var all []string
		for i, w := range words {
			all = append(all, fmt.Sprintf("id: %d\n%s", i+1, event(w, "")))
		}
		all = append(all, fmt.Sprintf("id: %d\n%s", len(words)+1, event("", "stop")))
		j := keptStreamJob()
		s := r.submit(cl, j)
		within(t, patience, "stored", s.Stored)
		check := func(when string, p *Replay, after int) {
			if res := gather(p, patience); res.text != suffix(all, after) || res.failed != nil || res.err != nil {
				t.Errorf("%s, after %d: %d bytes instead of %d, %v, %v", when, after, len(res.text), len(suffix(all, after)), res.failed, res.err)
			}
		}
		live := []*Replay{r.follow(cl, j, 0), r.follow(cl, j, 1), r.follow(cl, j, 2)}
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			for _, w := range words {
				if err := a.Chunk([]byte(event(w, ""))); err != nil {
					return Outcome{}, err
				}
			}
			return Outcome{}, a.Chunk([]byte(event("", "stop")))
		})
		if res := collect(s, patience); res.text != suffix(all, 0) {
			t.Fatalf("live: %d bytes, %v, %v", len(res.text), res.failed, res.err)
		}
		for after, p := range live {
			check("live", p, after)
		}
		for after := range len(all) + 1 {
			check("stored", r.follow(cl, j, uint64(after)), after)
		}
	})
}
