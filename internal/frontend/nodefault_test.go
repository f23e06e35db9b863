package frontend

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// insist repeats a request as SDKs do, while the answer is that the queue is away.
func (r *rig) insist(ctx context.Context, method, path, body string, header ...string) (*http.Response, error) {
	for {
		resp, err := r.try(ctx, method, path, body, header...)
		if err != nil || resp.StatusCode < 500 {
			return resp, err
		}
		_ = resp.Body.Close()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// While the nodes of the cluster are killed and come back, one after the other, a key
// has one answer and one call, through either frontend.
func TestSameKeyWhileNodesDie(t *testing.T) {
	n := jobstest.Own(t, 3)
	var mu sync.Mutex
	calls := map[string]int{} // by job
	a := startOn(t, n, anyone(), func(ctx context.Context, at *jobs.Attempt) (jobs.Outcome, error) {
		mu.Lock()
		calls[at.Job().ID.String()]++
		mu.Unlock()
		return teller(ctx, at)
	})
	b := startOn(t, n, anyone(), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	progress, over := make(chan struct{}), make(chan struct{})
	failed := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(failed)
		for round := 0; ; round++ {
			select {
			case <-over:
				return
			default:
			}
			name := []string{"json", "stream", "stored stream"}[round%3]
			var got [3]string
			var together sync.WaitGroup
			for i := range got {
				r := []*rig{a, b}[i%2]
				together.Go(func() {
					resp, err := r.insist(ctx, http.MethodPost, completions, keyedRequests[name], "Idempotency-Key", fmt.Sprint(name, round))
					if err != nil {
						got[i] = err.Error()
						return
					}
					defer resp.Body.Close()
					body, err := io.ReadAll(resp.Body)
					got[i] = fmt.Sprint(resp.StatusCode, resp.Header.Get("X-Request-Id"), strings.ReplaceAll(string(body), protocol.KeepAlive, ""), err)
				})
			}
			together.Wait()
			for _, g := range got {
				if g != got[0] || !strings.HasPrefix(g, "200") {
					t.Errorf("%s %d:\n%s\n%s", name, round, got[0], g)
					return
				}
			}
			select {
			case progress <- struct{}{}:
			default:
			}
		}
	})
	for i := range n.Nodes() {
		n.Kill(i)
		for range 5 {
			select {
			case <-progress:
			case <-failed:
				t.Fatal("no answers without a node")
			}
		}
		n.Restart(t, i)
	}
	close(over)
	wg.Wait()
	for id, n := range calls {
		if n != 1 {
			t.Errorf("%d calls for %s", n, id)
		}
	}
}

// A stream that is cut while a node of the cluster dies is continued through the other
// frontend with exactly what is missing, each time.
func TestResumeWhileNodesDie(t *testing.T) {
	const step = 50
	n := jobstest.Own(t, 3)
	next := make(chan struct{})
	words := counted(step * (n.Nodes() + 1))
	a := startOn(t, n, anyone(), func(ctx context.Context, at *jobs.Attempt) (jobs.Outcome, error) {
		w := protocol.NewStreamWriter(protocol.Envelope{ID: completionID(at.Job().ID), Created: at.Job().Created, Model: "echo"}, false)
		for i, word := range words {
			if i > 0 && i%step == 0 {
				select {
				case <-next:
				case <-ctx.Done():
					return jobs.Outcome{}, context.Cause(ctx)
				}
			}
			if err := at.Chunk(w.Append(nil, &protocol.Chunk{Choices: []protocol.Choice{{Content: []byte(strconv.Quote(word))}}})); err != nil {
				return jobs.Outcome{}, err
			}
		}
		return jobs.Outcome{FinishReason: "stop"}, at.Chunk(w.Append(nil, &protocol.Chunk{Choices: []protocol.Choice{{FinishReason: "stop"}}}))
	})
	rigs := []*rig{startOn(t, n, anyone(), nil), a}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	resp, err := a.insist(ctx, http.MethodPost, completions, with(`"store":true,"stream":true`))
	if err != nil {
		t.Fatal(err)
	}
	path := completions + "/" + resp.Header.Get("X-Request-Id")
	var whole []string
	resume := func(i int) {
		t.Helper()
		resp, err = rigs[i%2].insist(ctx, http.MethodGet, path+"?stream=true&starting_after="+strconv.Itoa(len(whole)), "")
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range n.Nodes() {
		whole = append(whole, readSome(t, resp.Body, step*(i+1)-len(whole))...)
		n.Kill(i)
		next <- struct{}{}
		resume(i)
		whole = append(whole, readSome(t, resp.Body, step/2)...)
		n.Restart(t, i)
		resume(i + 1)
	}
	rest, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	whole = append(whole, eventsOf(string(rest))...)
	if len(whole) != len(words)+2 || whole[len(words)+1] != protocol.Done {
		t.Fatalf("%d events, want %d; the last is %q", len(whole), len(words)+2, whole[len(whole)-1])
	}
	for i, word := range words {
		if !strings.HasPrefix(whole[i], fmt.Sprintf("id: %d\ndata: {", i+1)) || !strings.Contains(whole[i], strconv.Quote(word)) {
			t.Fatalf("event %d is %q", i+1, whole[i])
		}
	}
}

// readSome reads so many events and breaks off.
func readSome(t *testing.T, body io.ReadCloser, n int) (list []string) {
	t.Helper()
	defer body.Close()
	in := bufio.NewReader(body)
	for event := ""; len(list) < n; {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%d of %d events: %v", len(list), n, err)
		}
		if event += line; line == "\n" {
			list = append(list, eventsOf(event)...)
			event = ""
		}
	}
	return list
}
