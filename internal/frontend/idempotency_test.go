package frontend

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

// counting counts the runs of h.
func counting(runs *atomic.Int64, h jobs.Handler) jobs.Handler {
	return func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		runs.Add(1)
		return h(ctx, a)
	}
}

// keyedRequests are those whose repetition is told apart from its first.
var keyedRequests = map[string]string{
	"json": plainRequest, "stream": streamRequest, "stored": with(`"store":true`), "stored stream": with(`"store":true,"stream":true`),
	"background stream": with(`"background":true,"stream":true`),
}

// The same key and body get the first one's answer, to the byte, once it is there.
func TestSameKeyAgain(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		var runs atomic.Int64
		a := startOn(t, n, anyone(), counting(&runs, teller))
		b := startOn(t, n, anyone(), nil)
		for name, request := range keyedRequests {
			t.Run(name, func(t *testing.T) {
				runs.Store(0)
				resp, first := a.post(request, "Idempotency-Key", name)
				for _, r := range []*rig{a, b, a} {
					again, body := r.post(request, "Idempotency-Key", name)
					if again.StatusCode != http.StatusOK || string(body) != string(first) || again.Header.Get("X-Request-Id") != resp.Header.Get("X-Request-Id") ||
						again.Header.Get("Content-Type") != resp.Header.Get("Content-Type") {
						t.Errorf("%d %s\nfirst: %s", again.StatusCode, body, first)
					}
				}
				if n := runs.Load(); n != 1 || !strings.Contains(string(first), "Hel") {
					t.Errorf("%d calls for %s", n, first)
				}
			})
		}
	})
}

// However many ask with one key at the same moment, from two frontends: one call.
func TestSameKeyAtOnce(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		var runs atomic.Int64
		a := startOn(t, n, anyone(), counting(&runs, teller))
		b := startOn(t, n, anyone(), nil)
		for name, request := range keyedRequests {
			t.Run(name, func(t *testing.T) {
				const rounds = 10
				runs.Store(0)
				for round := range rounds {
					var got [4]string
					var ready, wg sync.WaitGroup
					ready.Add(len(got))
					for i := range got {
						r := []*rig{a, b}[i%2]
						wg.Go(func() {
							ready.Done()
							ready.Wait()
							resp, body := r.post(request, "Idempotency-Key", fmt.Sprint(name, round))
							got[i] = fmt.Sprint(resp.StatusCode, resp.Header.Get("X-Request-Id"), string(body))
						})
					}
					wg.Wait()
					for _, g := range got[1:] {
						if g != got[0] || !strings.HasPrefix(g, "200") {
							t.Fatalf("round %d:\n%s\n%s", round, got[0], g)
						}
					}
				}
				if n := runs.Load(); n != rounds {
					t.Errorf("%d calls in %d rounds", n, rounds)
				}
			})
		}
	})
}

// A background request with a key is made once, and answered with how far it is.
func TestBackgroundWithKey(t *testing.T) {
	r := start(t, anyone(), nil)
	request := with(`"background":true`)
	resp, body := r.post(request, "Idempotency-Key", "k")
	first := r.read(resp, body)
	resp, body = r.post(request, "Idempotency-Key", "k")
	if again := r.read(resp, body); again.ID != first.ID || again.Status != "queued" {
		t.Errorf("%s", body)
	}
	r.work(teller)
	r.until(completions+"/"+first.ID, "completed")
	resp, body = r.post(request, "Idempotency-Key", "k")
	if again := r.read(resp, body); again.ID != first.ID || again.text() != "Hello" {
		t.Errorf("%s", body)
	}
	if page := r.list(""); len(page.Data) != 1 {
		t.Errorf("%d completions", len(page.Data))
	}
}

// A request with a key runs on without its client; the next one joins it.
func TestJoinRunningJob(t *testing.T) {
	for name, request := range map[string]string{"json": plainRequest, "stream": streamRequest} {
		t.Run(name, func(t *testing.T) {
			var runs atomic.Int64
			running, released := make(chan struct{}), make(chan struct{})
			r := start(t, anyone(), counting(&runs, func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
				close(running)
				select {
				case <-released:
				case <-ctx.Done():
					return jobs.Outcome{}, context.Cause(ctx)
				}
				return teller(ctx, a)
			}))
			c := r.raw(strings.Replace(rawPost(request), "Host: x", "Host: x\r\nIdempotency-Key: k", 1))
			<-running
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the call ends", func() bool { return strings.Contains(r.log.String(), `"status":499`) })
			joined := make(chan string)
			go func() {
				_, body := r.post(request, "Idempotency-Key", "k")
				joined <- string(body)
			}()
			eventually(t, "the second is there", func() bool { return r.watch.count() == 1 })
			close(released)
			if body := <-joined; !strings.Contains(body, "Hel") || !strings.Contains(body, `"finish_reason":"stop"`) || runs.Load() != 1 {
				t.Errorf("%d calls: %s", runs.Load(), body)
			}
		})
	}
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.open)
}

// Two keys are none: which one counts would be a guess.
func TestTwoKeys(t *testing.T) {
	r := start(t, anyone(), teller)
	for _, second := range []string{"b", "a"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+completions, strings.NewReader(plainRequest))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Idempotency-Key"] = []string{"a", second}
		resp, err := r.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		wantError(t, resp, body, http.StatusBadRequest, invalid, "invalid_idempotency_key")
	}
}

// A change of what is not there is 404 and leaves its key free.
func TestKeyOfAnUnknownCompletion(t *testing.T) {
	r := start(t, anyone(), teller)
	unknown := completions + "/chatcmpl-" + jobs.NewID().String()
	for path, body := range map[string]string{unknown: `{"metadata":{"a":"b"}}`, unknown + "/cancel": ""} {
		resp, got := r.do(http.MethodPost, path, body, "Idempotency-Key", path)
		wantError(t, resp, got, http.StatusNotFound, invalid, "")
		if resp, got := r.post(plainRequest, "Idempotency-Key", path); resp.StatusCode != http.StatusOK {
			t.Errorf("the key is taken: %d %s", resp.StatusCode, got)
		}
	}
}
