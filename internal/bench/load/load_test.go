package load_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/osiris/osiris/internal/bench/floor"
	"github.com/osiris/osiris/internal/bench/load"
	"github.com/osiris/osiris/internal/bench/mockmodel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// model starts a simulated model and returns its base URL, and what ends it and then tells
// what it counted.
func model(t *testing.T, cfg mockmodel.Config) (base string, end func() mockmodel.Stats) {
	t.Helper()
	s, err := mockmodel.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	end = sync.OnceValue(func() mockmodel.Stats {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		return s.Stats()
	})
	t.Cleanup(func() { end() })
	return "http://" + ln.Addr().String() + "/v1", end
}

func run(t *testing.T, cfg load.Config) *load.Result {
	t.Helper()
	if cfg.Model == "" {
		cfg.Model = "bench"
	}
	r, err := load.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.Begun != r.AllRequests+r.Failed+r.Abandoned {
		t.Errorf("%d begun are not %d right, %d failed and %d abandoned", r.Begun, r.AllRequests, r.Failed, r.Abandoned)
	}
	return r
}

// TestRightAnswers counts exactly what a model and a proxy before it answered.
func TestRightAnswers(t *testing.T) {
	base, end := model(t, mockmodel.Config{FirstToken: 2 * time.Millisecond, Gap: 100 * time.Microsecond, Jitter: 1})
	target, err := url.Parse(strings.TrimSuffix(base, "/v1"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(floor.Handler(target))
	defer proxy.Close()
	var asked int64
	for name, at := range map[string]string{"direct": base, "floor": proxy.URL + "/v1"} {
		for _, kind := range []load.Kind{load.Plain, load.Stream} {
			t.Run(name+" "+string(kind), func(t *testing.T) {
				r := run(t, load.Config{URL: at, Kind: kind, Concurrency: 8, Requests: 100, Tokens: 5, Size: 20, Usage: true, Header: []string{"X-Team: blue"}})
				asked += 100
				if r.Requests != 100 || r.Failed != 0 || r.Total == nil || r.Total.P50 < 1 {
					t.Errorf("%+v", r)
				}
				if kind == load.Stream && (r.Chunks != 500 || r.First == nil || r.Gap == nil) {
					t.Errorf("of the stream: %+v", r)
				}
			})
		}
	}
	if s := end(); s.Begun != asked || s.Finished != asked || s.Failed+s.Left != 0 {
		t.Errorf("asked %d times, the model counted %+v", asked, s)
	}
}

// TestFailuresAreCounted has a model that fails on purpose in every way.
func TestFailuresAreCounted(t *testing.T) {
	for _, c := range []struct {
		model mockmodel.Config
		kind  load.Kind
		want  string
	}{
		{mockmodel.Config{Refuse: 1}, load.Plain, "http_500"},
		{mockmodel.Config{Refuse: 1, Status: 429}, load.Stream, "http_429"},
		{mockmodel.Config{Cut: 1}, load.Plain, "truncated"},
		{mockmodel.Config{Cut: 1}, load.Stream, "truncated"},
		{mockmodel.Config{Hang: 1}, load.Stream, "timeout"},
		{mockmodel.Config{Hang: 1}, load.Plain, "timeout"},
	} {
		t.Run(c.want+" "+string(c.kind), func(t *testing.T) {
			base, end := model(t, c.model)
			r := run(t, load.Config{URL: base, Kind: c.kind, Concurrency: 2, Requests: 4, Tokens: 4, Timeout: 50 * time.Millisecond})
			if r.Requests != 0 || r.Failed != 4 || !maps.Equal(r.Errors, map[string]int64{c.want: 4}) || r.FirstError == "" {
				t.Errorf("%+v", r)
			}
			if s := end(); s.Begun != 4 {
				t.Errorf("the model was asked %d times", s.Begun)
			}
		})
	}
	some, end := model(t, mockmodel.Config{Refuse: 0.5})
	r := run(t, load.Config{URL: some, Concurrency: 4, Requests: 200})
	if s := end(); r.Errors["http_500"] != s.Failed || r.Requests != s.Finished || s.Failed == 0 || s.Finished == 0 {
		t.Errorf("%+v, and the model counted %+v", r, s)
	}
}

// TestNobodyThere: what cannot connect is a failure of the request, not of the run.
func TestNobodyThere(t *testing.T) {
	r := run(t, load.Config{URL: "http://192.0.2.1/v1", Concurrency: 1, Requests: 2, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no way")
	}})
	if !maps.Equal(r.Errors, map[string]int64{"dial": 2}) {
		t.Errorf("%+v", r)
	}
}

// TestDroppedRequests: a server that takes a request and closes the connection without a
// word has failed, although asking again would help.
func TestDroppedRequests(t *testing.T) {
	base, _ := model(t, mockmodel.Config{})
	target, err := url.Parse(strings.TrimSuffix(base, "/v1"))
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	proxy := floor.Handler(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1)%4 == 0 {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()
	r := run(t, load.Config{URL: server.URL + "/v1", Concurrency: 3, Requests: 100})
	if asked.Load() != 100 || r.Requests != 75 || r.Errors["truncated"]+r.Errors["connection"] != 25 {
		t.Errorf("%+v, asked %d times", r, asked.Load())
	}
}

// TestIdleConnection: one that the server closed because nobody used it is replaced.
func TestIdleConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		var serving sync.WaitGroup
		r, err := load.Run(t.Context(), load.Config{
			URL: "http://model/v1", Model: "m", Verify: load.Off, Rate: 0.1, Requests: 5,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				dials++
				serving.Go(func() {
					defer there.Close()
					req, err := http.ReadRequest(bufio.NewReader(there))
					if err != nil {
						t.Error(err)
						return
					}
					_, err = io.Copy(io.Discard, req.Body)
					if _, err2 := io.WriteString(there, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"); err != nil || err2 != nil {
						t.Error(err, err2)
					}
				})
				return here, nil
			},
		})
		serving.Wait()
		if err != nil || r.Requests != 5 || dials != 5 {
			t.Errorf("%+v, %v, %d connections", r, err, dials)
		}
	})
}

// TestCutShort: requests under way when the run is interrupted are neither right nor failed.
func TestCutShort(t *testing.T) {
	for name, cfg := range map[string]load.Config{
		"together": {Concurrency: 3, Duration: time.Hour},
		"at rate":  {Rate: 1000, Concurrency: 3, Duration: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var asked atomic.Int32
			release := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 3 {
					cancel()
				}
				select {
				case <-r.Context().Done():
				case <-release:
				}
			}))
			defer server.Close()
			defer close(release)
			cfg.URL, cfg.Model = server.URL+"/v1", "bench"
			r, err := load.Run(ctx, cfg)
			if err != nil || r.AllRequests != 0 || r.Failed != 0 || r.Begun != r.Abandoned || r.Begun < 3 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// TestWarmup: what is due in the warm-up is counted apart.
func TestWarmup(t *testing.T) {
	base, end := model(t, mockmodel.Config{})
	r := run(t, load.Config{URL: base, Rate: 1000, Requests: 100, Duration: time.Minute, Warmup: 40 * time.Millisecond, Kind: load.Stream, Tokens: 3})
	if r.AllRequests != 100 || r.Requests != 60 || r.AllChunks != 300 || r.Chunks != 180 || end().Begun != 100 {
		t.Errorf("%+v", r)
	}
}

func TestFaults(t *testing.T) {
	good := load.Config{URL: "http://127.0.0.1:1/v1", Model: "m", Requests: 1}
	for want, change := range map[string]func(c *load.Config){
		"url":                 func(c *load.Config) { c.URL = "localhost:8080" },
		"kind":                func(c *load.Config) { c.Kind = "streamed" },
		"verify":              func(c *load.Config) { c.Verify = "yes" },
		"no model":            func(c *load.Config) { c.Model = "" },
		"tokens":              func(c *load.Config) { c.Tokens = -1 },
		"burst needs a rate":  func(c *load.Config) { c.Burst = 2 },
		"needs a duration":    func(c *load.Config) { c.Requests = 0 },
		"batch needs":         func(c *load.Config) { c.Kind, c.Requests, c.Duration = load.Batch, 0, time.Second },
		"leaves nothing":      func(c *load.Config) { c.Duration, c.Warmup = time.Second, time.Second },
		"Name: value":         func(c *load.Config) { c.Header = []string{"a: b\r\nc: d"} },
		"key has a line":      func(c *load.Config) { c.Key = "a\nb" },
		"concurrency -1":      func(c *load.Config) { c.Concurrency = -1 },
		"a time or a number":  func(c *load.Config) { c.Ramp = -1 },
		"at most 64 MB":       func(c *load.Config) { c.PromptBytes = 65 << 20 },
		"rate is not negativ": func(c *load.Config) { c.Rate = -1 },
	} {
		cfg := good
		change(&cfg)
		if _, err := load.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
