package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
		within(t, patience, "stored", live.Stored)
		var wg sync.WaitGroup
		all := spoken(words)
		read := func(when string, cl *Client, after int) {
			p := r.follow(cl, j, uint64(after))
			wg.Go(func() {
				defer p.Close()
				res := gather(p, patience)
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
		if res := collect(live, patience); res.failed != nil || res.err != nil {
			t.Fatalf("live: %+v", res)
		}
		wg.Wait()
		for after := range words + 5 {
			read("ended", []*Client{front, other}[after%2], after)
		}
		wg.Wait()
	})
}

// A worker is killed in the middle of a stream. A reader that has text of it is told
// that it ends; one that comes later gets the whole of the next attempt, and one
// that has events of the first is not given those of the second.
func TestFollowAcrossWorkers(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl, other := r.client(), r.client()
		var h hold
		first := r.worker(1, r.wordAndHold(&h))
		j := keptStreamJob()
		s := r.submit(cl, j)
		awaitEvent(t, s, Chunk)
		within(t, patience, "text stored", func() bool { return len(r.replayed(j.ID)) == 2 })
		reads := r.follow(other, j, 0)
		if e, err := reads.Next(patience); err != nil || e.Kind != Chunk || e.Number != 1 {
			t.Fatalf("%+v, %v", e, err)
		}
		waits := r.follow(other, j, 1)
		r.worker(1, sayWords(3, -1, nil))
		first.conn.nc.Close() // as kill -9 does
		fresh := r.follow(other, j, 0)
		if res := gather(reads, patience); res.failed == nil || res.text != "" || !strings.Contains(res.failed.Message, "GET /v1/chat/completions/chatcmpl-"+j.ID.String()) {
			t.Errorf("who had read: %+v", res)
		}
		if res := gather(waits, patience); res.failed == nil || res.text != "" {
			t.Errorf("who had one event: %+v", res)
		}
		got := r.resultOf(j)
		if got.Status != Completed || got.Attempt != 2 || got.Events != attemptEvents+4 {
			t.Fatalf("result %+v", got)
		}
		var numbered strings.Builder
		for i, w := range []string{event("w0 ", ""), event("w1 ", ""), event("w2 ", ""), event("", "stop")} {
			fmt.Fprintf(&numbered, "id: %d\n%s", attemptEvents+i+1, w)
		}
		want := numbered.String()
		if res := gather(fresh, patience); res.text != want || res.failed != nil {
			t.Errorf("who came when the first was gone: %+v", res)
		}
		if res := gather(r.follow(other, j, 0), patience); res.text != want || res.failed != nil {
			t.Errorf("who comes later: %+v", res)
		}
		if res := gather(r.follow(other, j, attemptEvents+2), patience); !strings.HasSuffix(want, res.text) || strings.Count(res.text, "id:") != 2 || res.failed != nil {
			t.Errorf("who had some of the second: %+v", res)
		}
		for _, after := range []uint64{1, 2, 500} { // live readers may have had more than was stored
			if res := gather(r.follow(other, j, after), patience); res.failed == nil || res.text != "" {
				t.Errorf("who had %d of the first: %+v", after, res)
			}
		}
	})
}

// Readers that read nothing until it is over, or never heard anything live, get
// everything, and hold little meanwhile.
func TestFollowSlowly(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		const words, long = 300, 10 << 10
		cl := r.client()
		j := keptStreamJob()
		s := r.submit(cl, j)
		within(t, patience, "stored", s.Stored)
		slow, deaf := r.follow(cl, j, 0), r.follow(cl, j, 0)
		deaf.feed.deafen()
		word := strings.Repeat("x", long)
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			for range words {
				if err := a.Chunk([]byte(event(word, ""))); err != nil {
					return Outcome{}, err
				}
			}
			return Outcome{}, a.Chunk([]byte(event("", "stop")))
		})
		if res := collect(s, patience); res.failed != nil || res.err != nil {
			t.Fatalf("live: %+v", res.failed)
		}
		slow.mu.Lock()
		size := slow.size
		slow.mu.Unlock()
		slow.feed.live.mu.Lock()
		size += slow.feed.live.size
		slow.feed.live.mu.Unlock()
		if size > 4*replayBuffer {
			t.Errorf("a slow reader holds %d bytes", size)
		}
		for name, p := range map[string]*Replay{"slow": slow, "deaf": deaf} {
			res := gather(p, patience)
			n := uint64(0)
			for line := range strings.Lines(res.text) {
				if id, ok := strings.CutPrefix(line, "id: "); ok {
					if n++; id != fmt.Sprintf("%d\n", n) {
						t.Fatalf("%s: event %s after %d", name, id, n-1)
					}
				}
			}
			if n != words+1 || res.failed != nil || res.err != nil {
				t.Errorf("%s: %d events, %v, %v", name, n, res.failed, res.err)
			}
		}
	})
}

// A job in JSON mode has one event, whenever one asks and whatever for.
func TestFollowJSON(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := keptStreamJob()
		j.Stream = false
		var readers []*Replay
		s := r.submit(cl, j)
		within(t, patience, "stored", s.Stored)
		readers = append(readers, r.follow(cl, j, 0), r.follow(cl, j, 7))
		goOn := make(chan struct{})
		r.worker(1, func(_ context.Context, a *Attempt) (Outcome, error) {
			<-goOn
			return Outcome{FinishReason: "stop"}, a.Answer([]byte(`{"x":1}`))
		})
		awaitEvent(t, s, Started)
		readers = append(readers, r.follow(cl, j, 0))
		within(t, patience, "in progress", func() bool { return r.kept(cl, j).Status == KeptRunning })
		close(goOn)
		r.resultOf(j)
		readers = append(readers, r.follow(cl, j, 0), r.follow(cl, j, 7))
		for i, p := range readers {
			if res := gather(p, patience); res.text != `{"x":1}` || !slices.Equal(res.kinds, []EventKind{Answer, Done}) || res.done.FinishReason != "stop" {
				t.Errorf("reader %d: %+v", i, res)
			}
		}
	})
}

// What is no longer stored is said to be gone, unless the result has all of it.
func TestFollowAgedEvents(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		aged, running, never := recordedJob(0), recordedJob(0), recordedJob(0)
		for _, j := range []*Job{aged, running, never} {
			r.record(j)
			r.enqueue(j)
		}
		r.events(aged, numbered(1, 3, 4), mark(replayDone, 1, 5))
		r.conclude(aged, &Result{Status: Completed, Attempt: 1, Events: 4, Body: []byte(`{"whole":1}`)})
		r.events(running, numbered(1, 3, 4))
		r.conclude(never, &Result{Status: Completed, Attempt: 1, Body: []byte(`{"whole":1}`)})
		for name, c := range map[string]struct {
			job   *Job
			after uint64
			want  string // "gone", or what is read
		}{
			"from the beginning":       {aged, 0, `{"whole":1}`},
			"from what is gone":        {aged, 1, "gone"},
			"from what is there":       {aged, 2, eventsOf(1, 3, 4)},
			"all but one":              {aged, 3, eventsOf(1, 4, 4)},
			"all":                      {aged, 4, ""},
			"more than all":            {aged, 40, ""},
			"running, from the start":  {running, 0, "gone"},
			"running, from what went":  {running, 1, "gone"},
			"never stored":             {never, 0, `{"whole":1}`},
			"never stored, and onward": {never, 2, "gone"},
		} {
			p, err := cl.Follow(t.Context(), c.job.Tenant, c.job.ID, c.after)
			if err != nil {
				if !errors.Is(err, ErrEventsGone) || c.want != "gone" {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if res := gather(p, patience); res.text != c.want || res.failed != nil || res.err != nil {
				t.Errorf("%s: %+v", name, res)
			}
			p.Close()
		}
	})
}

// The stored result decides: without a mark, with one of another attempt, after a
// failure.
func TestFollowEndsByTheResult(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		for name, c := range map[string]struct {
			stored []replayMessage
			result Result
			after  uint64
			text   string
			failed string // code, or the message's beginning
		}{
			"without a mark":       {[]replayMessage{mark(replayStarted, 1, 1), numbered(1, 1, 3)}, Result{Status: Completed, Attempt: 1, Events: 3}, 1, eventsOf(1, 2, 3), ""},
			"failed":               {[]replayMessage{mark(replayStarted, 1, 1), numbered(1, 1, 3)}, Result{Status: Errored, Error: errRevoked(), Attempt: 1, Events: 3}, 1, eventsOf(1, 2, 3), "cancelled"},
			"cancelled":            {[]replayMessage{mark(replayStarted, 1, 1), numbered(1, 1, 3)}, Result{Status: Cancelled}, 0, eventsOf(1, 1, 3), "cancelled"},
			"of another attempt":   {[]replayMessage{mark(replayStarted, 1, 1), numbered(1, 1, 3), mark(replayStarted, 2, 4), numbered(2, 4, 9)}, Result{Status: Completed, Attempt: 1, Events: 3}, 0, eventsOf(1, 1, 3), ""},
			"of a later attempt":   {[]replayMessage{mark(replayStarted, 1, 1), numbered(1, 1, 3), mark(replayStarted, 2, 4), numbered(2, 4, 5)}, Result{Status: Completed, Attempt: 2, Events: 5}, 0, eventsOf(2, 4, 5), ""},
			"the end is not there": {[]replayMessage{mark(replayStarted, 1, 1), numbered(1, 1, 3)}, Result{Status: Completed, Attempt: 1, Events: 4}, 1, eventsOf(1, 2, 3), "events_expired"},
		} {
			for _, early := range []bool{false, true} {
				j := recordedJob(0)
				r.record(j)
				r.enqueue(j)
				r.events(j, c.stored...)
				if early && (c.result.Attempt != 1 || len(c.stored) > 2) {
					continue // who came before the result may have read the other attempt
				}
				if !early {
					r.conclude(j, &c.result)
				}
				p := r.follow(cl, j, c.after)
				if early {
					r.conclude(j, &c.result)
				}
				res := gather(p, patience)
				if res.text != c.text || res.err != nil || (res.failed == nil) != (c.failed == "") || res.failed != nil && res.failed.Code != c.failed {
					t.Errorf("%s, early %t: %+v", name, early, res)
				}
			}
		}
	})
}

// Readers end with their client, and with Close.
func TestFollowEnds(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := recordedJob(0)
		r.record(j)
		r.enqueue(j)
		closed, cut := r.follow(cl, j, 0), r.follow(cl, j, 0)
		if _, err := closed.Next(0); !errors.Is(err, ErrSilent) || closed.Ready() {
			t.Errorf("nothing yet: %v", err)
		}
		closed.Close()
		closed.Close()
		if _, err := closed.Next(time.Second); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		got := make(chan error, 1)
		go func() {
			_, err := cut.Next(time.Minute)
			got <- err
		}()
		cl.Close()
		if err := <-got; !errors.Is(err, ErrClosed) {
			t.Errorf("client closed: %v", err)
		}
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

// A reader from the beginning who comes when another attempt runs gets that one's
// text alone.
func TestFollowTheNewestAttempt(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		j := keptStreamJob()
		r.record(j)
		for _, m := range []replayMessage{
			{kind: replayStarted, attempt: 1, first: 1},
			{kind: replayChunk, attempt: 1, first: 1, count: 1, data: []byte("id: 1\n" + event("old", ""))},
			{kind: replayStarted, attempt: 2, first: 1<<20 + 1},
			{kind: replayChunk, attempt: 2, first: 1<<20 + 1, count: 1, data: []byte("id: 1048577\n" + event("new", ""))},
		} {
			r.put(r.conn.n.replay(j.ID), appendReplay(nil, &m))
		}
		p := r.follow(cl, j, 0)
		for {
			e, err := p.Next(patience)
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind != Chunk {
				continue
			}
			if got := string(e.Data); !strings.Contains(got, "new") || strings.Contains(got, "old") {
				t.Fatalf("got %q", got)
			}
			return
		}
	})
}
