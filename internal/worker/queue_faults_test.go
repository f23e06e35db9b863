package worker_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

// refuse answers with an error.
func refuse(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestFallsBackBeforeTheFirstToken(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		servers := make(map[string][]*upstreamServer)
		for name, first := range map[string]http.HandlerFunc{
			"refused":      refuse(500, `{"error":{"message":"boom","type":"server_error"}}`),
			"nothing said": func(w http.ResponseWriter, _ *http.Request) { events(w) },
			"only a role": func(w http.ResponseWriter, _ *http.Request) {
				events(w, `{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`)
			},
			"error event": func(w http.ResponseWriter, _ *http.Request) {
				events(w, `{"error":{"message":"boom","code":503}}`, "[DONE]")
			},
			"error in a 200": refuse(200, `{"error":{"message":"boom","type":"server_error","code":500}}`),
			"html":           func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>502</html>") },
		} {
			servers[name] = []*upstreamServer{newUpstream(t, first), newUpstream(t, speakAs(true))}
		}
		rig := newRig(t, n, models(servers))
		for name, pair := range servers {
			t.Run(name, func(t *testing.T) {
				for _, stream := range []bool{false, true} {
					before := pair[0].calls.Load()
					check(t, rig.ask(name, stream), stream)
					if got := pair[0].calls.Load() - before; got < 1 || got > 2 {
						t.Errorf("%d calls of the broken server", got)
					}
				}
			})
		}
	})
}

func TestNoSecondChanceAfterTheFirstToken(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		servers := make(map[string][]*upstreamServer)
		for name, first := range map[string]http.HandlerFunc{
			"ends without finish": func(w http.ResponseWriter, _ *http.Request) { events(w, delta("Hel")) },
			"done without finish": func(w http.ResponseWriter, _ *http.Request) { events(w, delta("Hel"), "[DONE]") },
			"error event":         func(w http.ResponseWriter, _ *http.Request) { events(w, delta("Hel"), `{"error":{"message":"boom"}}`) },
			"connection cut": func(w http.ResponseWriter, _ *http.Request) {
				events(w, delta("Hel"))
				panic(http.ErrAbortHandler)
			},
			"rubbish": func(w http.ResponseWriter, _ *http.Request) { events(w, delta("Hel"), "{{{") },
		} {
			servers[name] = []*upstreamServer{newUpstream(t, first), newUpstream(t, speakAs(true))}
		}
		rig := newRig(t, n, models(servers))
		for name, pair := range servers {
			t.Run(name, func(t *testing.T) {
				res := rig.ask(name, true)
				if res.err == nil || res.err.Status < 500 {
					t.Errorf("error is %v", res.err)
				}
				if pair[0].calls.Load() != 1 || pair[1].calls.Load() != 0 {
					t.Errorf("%d and %d calls", pair[0].calls.Load(), pair[1].calls.Load())
				}
				if !bytes.Contains(res.chunks, []byte("Hel")) || bytes.Contains(res.chunks, []byte(`"finish_reason":"`)) {
					t.Errorf("stream is %s", res.chunks)
				}
			})
		}
	})
}

// TestErrors: what the client is told, and what it is not.
func TestErrors(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		tests := map[string]struct {
			handle   http.HandlerFunc
			status   int
			code     string
			calls    int64
			operator bool
		}{
			"client's fault": {refuse(400, `{"error":{"message":"too odd","type":"invalid_request_error","code":"odd"}}`), 400, "odd", 1, false},
			"unknown model":  {refuse(404, `{"error":{"message":"up-model not found"}}`), 404, "model_not_found", 1, false},
			"our key is bad": {refuse(401, `{"error":{"message":"Incorrect API key provided: sk-very-secret-key"}}`), 502, "", 1, true},
			"we may not":     {refuse(403, `{"error":{"message":"no"}}`), 502, "", 1, true},
			"overloaded":     {refuse(503, `overloaded`), 503, "", 2, false},
			"html":           {refuse(502, `<html>Bad gateway at http://internal</html>`), 502, "", 2, false},
			"limited": {func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "30")
				refuse(429, `{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}`)(w, r)
			}, 429, "rate_limit_exceeded", 1, false},
		}
		servers := make(map[string][]*upstreamServer)
		for name, test := range tests {
			servers[name] = []*upstreamServer{newUpstream(t, test.handle)}
		}
		rig := newRig(t, n, models(servers))
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				u := servers[name][0]
				rig.log.take()
				res := rig.ask(name, true)
				log := rig.log.take()
				if res.err == nil || res.err.Status != test.status || test.code != "" && res.err.Code != test.code {
					t.Fatalf("error is %+v", res.err)
				}
				if u.calls.Load() != test.calls {
					t.Errorf("%d calls, not %d", u.calls.Load(), test.calls)
				}
				if test.status == 429 && res.err.RetryAfter != 30*time.Second {
					t.Errorf("Retry-After is %v", res.err.RetryAfter)
				}
				for _, secret := range []string{"up-model", "sk-very-secret-key", "127.0.0.1", "http://"} {
					if strings.Contains(res.err.Message, secret) {
						t.Errorf("the client is told %q", res.err.Message)
					}
				}
				if got := strings.Contains(log, "level=ERROR"); got != test.operator {
					t.Errorf("operator is called: %v\n%s", got, log)
				}
				if strings.Contains(log, "secret") || strings.Contains(log, "Hello!") {
					t.Errorf("the log tells too much:\n%s", log)
				}
			})
		}
	})
}

func TestUnknownModel(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		rig := newRig(t, n, model(newUpstream(t, speakAs(true))))
		res := rig.ask("nothing", false)
		if res.err == nil || res.err.Status != 404 || !strings.Contains(res.err.Message, "`nothing`") {
			t.Errorf("error is %v", res.err)
		}
	})
}

// TestClientLeaves: the upstream call is closed within a second, of which a busy machine
// makes three, wherever it is.
func TestClientLeaves(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		var handle atomic.Pointer[http.HandlerFunc]
		u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) { (*handle.Load())(w, r) })
		rig := newRig(t, n, model(u))
		for name, test := range map[string]struct {
			said   []string
			stream bool
		}{
			"before the first token": {nil, true},
			"in the middle":          {[]string{delta("Hel")}, true},
			"waiting for JSON":       {nil, false},
		} {
			t.Run(name, func(t *testing.T) {
				reached, closed := make(chan struct{}), make(chan time.Time, 1)
				hang := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if test.said != nil {
						events(w, test.said...)
					}
					close(reached)
					<-r.Context().Done()
					closed <- time.Now()
				})
				handle.Store(&hang)
				s := rig.submit("m", test.stream, patience)
				await(t, reached)
				left := time.Now()
				s.Close()
				select {
				case at := <-closed:
					if took := at.Sub(left); took > 3*time.Second {
						t.Errorf("closed after %v", took)
					}
				case <-time.After(patience):
					t.Fatal("the upstream call goes on")
				}
			})
		}
	})
}

func TestDeadline(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		u := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		rig := newRig(t, n, model(u))
		res := rig.await(rig.submit("m", false, time.Second))
		if res.err == nil || res.err.Status != 504 {
			t.Errorf("error is %v", res.err)
		}
	})
}

func TestConcurrencyOfATarget(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		var most atomic.Int64
		var u *upstreamServer
		u = newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			for open := u.open.Load(); ; {
				if seen := most.Load(); open <= seen || most.CompareAndSwap(seen, open) {
					break
				}
			}
			speakAs(true)(w, r)
		})
		cfg := model(u)
		cfg.Models[0].Targets[0].Concurrency = 2
		rig := newRig(t, n, cfg)
		var streams []*jobs.Stream
		for range 20 {
			streams = append(streams, rig.submit("m", true, patience))
		}
		for _, s := range streams {
			check(t, rig.await(s), true)
		}
		if most.Load() > 2 {
			t.Errorf("%d calls at once of a target with room for 2", most.Load())
		}
	})
}

// await waits for something that must happen.
func await(t *testing.T, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(patience):
		t.Fatal("did not happen")
	}
}
