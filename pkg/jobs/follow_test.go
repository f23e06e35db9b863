package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// gather reads a replay to its end, within limit for each event.
func gather(p *Replay, limit time.Duration) result {
	var res result
	for {
		e, err := p.Next(limit)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				res.err = err
			}
			return res
		}
		res.kinds = append(res.kinds, e.Kind)
		switch e.Kind {
		case Chunk, Answer:
			res.text += string(e.Data)
		case Done:
			res.done, res.err = e.Done()
		case Failed:
			res.failed = e.Failed()
		}
	}
}

func (r *rig) follow(cl *Client, j *Job, after uint64) *Replay {
	r.t.Helper()
	p, err := cl.Follow(r.t.Context(), j.Tenant, j.ID, after)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.Close)
	return p
}

// spoken returns the events of a whole answer of n words, as sayWords emits it, with
// their numbers, and those after a number.
func spoken(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("id: %d\n%s", i+1, event(fmt.Sprintf("w%d ", i), "")))
	}
	return append(all, fmt.Sprintf("id: %d\n%s", n+1, event("", "stop")))
}

func suffix(all []string, after int) string { return strings.Join(all[min(after, len(all)):], "") }

// sayWords says n words, waiting for go before the one of that number.
func sayWords(n int, pause int, goOn <-chan struct{}) Handler {
	return func(ctx context.Context, a *Attempt) (Outcome, error) {
		for i := range n {
			if i == pause {
				select {
				case <-goOn:
				case <-ctx.Done():
					return Outcome{}, context.Cause(ctx)
				}
			}
			if err := a.Chunk([]byte(event(fmt.Sprintf("w%d ", i), ""))); err != nil {
				return Outcome{}, err
			}
		}
		return Outcome{FinishReason: "stop"}, a.Chunk([]byte(event("", "stop")))
	}
}

// Readers from every event on, through two clients, before, while and after it runs,
// get exactly what follows.
func TestFollow(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		const words = 60
		front, other := r.client(), r.client()
		goOn := make(chan struct{})
		j := keptStreamJob()
		live := r.submit(front, j)
		within(t, 5*time.Second, "stored", live.Stored)
		var wg sync.WaitGroup
		all := spoken(words)
		read := func(when string, cl *Client, after int) {
			p := r.follow(cl, j, uint64(after))
			wg.Go(func() {
				defer p.Close()
				res := gather(p, 20*time.Second)
				if res.text != suffix(all, after) || res.failed != nil || res.err != nil || res.kinds[len(res.kinds)-1] != Done || res.done.FinishReason != "stop" {
					t.Errorf("%s, after %d: %+v", when, after, res)
				}
			})
		}
		for after := 0; after <= words+1; after += 7 {
			read("queued", other, after)
		}
		r.worker(1, sayWords(words, words/2, goOn))
		awaitEvent(t, live, Chunk)
		for after := range words + 2 {
			read("running", []*Client{front, other}[after%2], after)
		}
		close(goOn)
		if res := collect(live, 10*time.Second); res.failed != nil || res.err != nil {
			t.Fatalf("live: %+v", res)
		}
		wg.Wait()
		for after := range words + 5 {
			read("ended", []*Client{front, other}[after%2], after)
		}
		wg.Wait()
	})
}

// wordAndHold says one word, then holds.
func (r *rig) wordAndHold(h *hold) Handler {
	return func(ctx context.Context, a *Attempt) (Outcome, error) {
		if err := a.Chunk([]byte(event("w0 ", ""))); err != nil {
			return Outcome{}, err
		}
		return h.run(ctx, a)
	}
}
