package load_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osiris/osiris/internal/bench/load"
)

// memory is a network inside a synctest bubble, whose server answers each request after
// some time, any number of them at once.
type memory struct {
	takes time.Duration
	wg    sync.WaitGroup

	mu    sync.Mutex
	begun []time.Duration // since the start of the bubble
	start time.Time
}

func (m *memory) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	m.wg.Go(func() {
		defer there.Close()
		in := bufio.NewReader(there)
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
			m.mu.Lock()
			m.begun = append(m.begun, time.Since(m.start))
			m.mu.Unlock()
			<-time.After(m.takes)
			const body = `{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"completion_tokens":1}}`
			if _, err := fmt.Fprintf(there, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
				return
			}
		}
	})
	return here, nil
}

func inMemory(t *testing.T, takes time.Duration, cfg load.Config) (*load.Result, []time.Duration) {
	t.Helper()
	m := &memory{takes: takes, start: time.Now()}
	cfg.URL, cfg.Model, cfg.Verify, cfg.Dial = "http://model/v1", "m", load.Shape, m.dial
	r, err := load.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.wg.Wait()
	if r.Failed != 0 || r.Begun != int64(len(m.begun)) {
		t.Fatalf("%+v; the server was asked %d times", r, len(m.begun))
	}
	return r, m.begun
}

func near(got, want float64) bool { return got >= want && got <= want*1.002 }

// TestWaitingCounts: at 20 requests per second, on one connection whose answers take
// 100 ms, each request waits 50 ms longer than the one before it, and its time says so. What
// measures from sending would say 100 ms of all of them.
func TestWaitingCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := inMemory(t, 100*time.Millisecond, load.Config{Rate: 20, Requests: 100, Concurrency: 1})
		// Request n, from 0, is due at 50n ms and ends at 100(n+1) ms: it takes 50n+100 ms.
		if !near(r.Total.P50, 49*50+100) || !near(r.Total.P99, 98*50+100) || !near(r.Total.Max, 99*50+100) || !near(r.Late.Max, 99*50) {
			t.Errorf("total %+v, late %+v", r.Total, r.Late)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r, _ := inMemory(t, 100*time.Millisecond, load.Config{Rate: 20, Requests: 100})
		if !near(r.Total.P50, 100) || !near(r.Total.Max, 100) || r.Late.Max != 0 {
			t.Errorf("with as many connections as it needs: total %+v, late %+v", r.Total, r.Late)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r, _ := inMemory(t, 100*time.Millisecond, load.Config{Concurrency: 4, Duration: time.Second})
		if r.Requests != 40 || !near(r.Total.Max, 100) || r.Seconds != 1 || r.RequestsPerSec != 40 {
			t.Errorf("four at a time: %+v, %+v", r, r.Total)
		}
	})
}

// TestSchedule: requests begin when they are due, whatever becomes of those before them.
func TestSchedule(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		cfg  load.Config
		want []time.Duration
	}{
		"even":   {load.Config{Rate: 10, Requests: 5}, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 400 * ms}},
		"time":   {load.Config{Rate: 10, Duration: 250 * ms}, []time.Duration{0, 100 * ms, 200 * ms}},
		"bursts": {load.Config{Rate: 10, Burst: 3, Requests: 7}, []time.Duration{0, 0, 0, 300 * ms, 300 * ms, 300 * ms, 600 * ms}},
		// In the ramp of 2 s, 10 per second are reached after 10 requests; n of them take √(2n·2/10) s.
		"ramp": {load.Config{Rate: 10, Ramp: 2 * time.Second, Requests: 13}, []time.Duration{
			0, 632 * ms, 894 * ms, 1095 * ms, 1264 * ms, 1414 * ms, 1549 * ms, 1673 * ms, 1788 * ms, 1897 * ms, 2000 * ms, 2100 * ms, 2200 * ms,
		}},
		"ramp of workers": {load.Config{Concurrency: 4, Ramp: 400 * ms, Duration: 401 * ms}, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, begun := inMemory(t, time.Hour, withTimeout(c.cfg))
				if len(begun) != len(c.want) {
					t.Fatalf("%d requests began, want %d: %v", len(begun), len(c.want), begun)
				}
				for i, want := range c.want {
					if begun[i].Truncate(ms) != want {
						t.Errorf("request %d began at %s, want %s", i, begun[i], want)
					}
				}
			})
		})
	}
}

func withTimeout(cfg load.Config) load.Config {
	cfg.Timeout = 2 * time.Hour
	return cfg
}

// TestDeadServer does not spin: a worker waits after each failure.
func TestDeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := 0
		r, err := load.Run(t.Context(), load.Config{
			URL: "http://model/v1", Model: "m", Concurrency: 1, Duration: time.Second,
			Dial: func(context.Context, string, string) (net.Conn, error) { tried++; return nil, errors.New("nobody") },
		})
		if err != nil || tried != 100 || r.Errors["dial"] != 100 {
			t.Errorf("%d dials in a second, %+v, %v", tried, r, err)
		}
	})
}
