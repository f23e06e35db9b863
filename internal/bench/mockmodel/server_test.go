package mockmodel_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/osiris/osiris/internal/bench/answer"
	"github.com/osiris/osiris/internal/bench/mockmodel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a listener whose connections are in memory.
type pipes struct {
	offered chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newPipes() *pipes { return &pipes{offered: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.offered:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.offered <- there
	return here, nil
}

// serve starts a server and returns a client of it.
func serve(t *testing.T, cfg mockmodel.Config) (*mockmodel.Server, *http.Client) {
	t.Helper()
	s, err := mockmodel.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln := newPipes()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	transport := &http.Transport{DialContext: ln.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, &http.Client{Transport: transport}
}

func ask(t *testing.T, c *http.Client, body string) *http.Response {
	t.Helper()
	resp, err := c.Post("http://model/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func request(spec answer.Spec, more string) string {
	return `{"model":"m","messages":[{"role":"user","content":"` + string(spec.AppendMark(nil)) + ` hi"}]` + more + `}`
}

// event is a data line and when it came.
type event struct {
	at   time.Duration
	data string
}

func events(t *testing.T, r io.Reader, start time.Time) (all []event) {
	t.Helper()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			all = append(all, event{time.Since(start), data})
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestStream: what is said is the answer to the request, and when it is said is exact.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := serve(t, mockmodel.Config{FirstToken: 50 * time.Millisecond, Gap: 10 * time.Millisecond})
		spec := answer.Spec{ID: 77, Pieces: 5, Size: 12}
		for range 2 { // the second on the same connection
			start := time.Now()
			resp := ask(t, c, request(spec, `,"stream":true,"stream_options":{"include_usage":true}`))
			all := events(t, resp.Body, start)
			if resp.StatusCode != 200 || len(all) != 9 || all[8].data != "[DONE]" || !strings.Contains(all[7].data, `"choices":[],"usage":{`) || !strings.Contains(all[7].data, `"completion_tokens":5,`) {
				t.Fatalf("%d %v", resp.StatusCode, all)
			}
			for i, e := range all {
				if want := time.Duration(50+10*min(max(i-1, 0), 4)) * time.Millisecond; e.at != want {
					t.Errorf("event %d came after %s, want %s", i, e.at, want)
				}
				if i < 8 && !json.Valid([]byte(e.data)) {
					t.Errorf("event %d is %s", i, e.data)
				}
				if i >= 1 && i <= 5 && !strings.Contains(e.data, `"content":"`+string(spec.AppendPiece(nil, i-1))+`"`) {
					t.Errorf("event %d says %s", i, e.data)
				}
			}
			if !strings.Contains(all[0].data, `"role":"assistant"`) || !strings.Contains(all[6].data, `"finish_reason":"stop"`) {
				t.Errorf("begins %s, ends %s", all[0].data, all[6].data)
			}
		}
		synctest.Wait()
		if st := s.Stats(); st != (mockmodel.Stats{Begun: 2, Finished: 2}) {
			t.Errorf("%+v", st)
		}
	})
}

func TestWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := serve(t, mockmodel.Config{Tokens: 3, Size: 4, FirstToken: 50 * time.Millisecond, Gap: 10 * time.Millisecond})
		for _, q := range []struct {
			body string
			spec answer.Spec
		}{
			{request(answer.Spec{ID: 9, Pieces: 11, Size: 2}, ""), answer.Spec{ID: 9, Pieces: 11, Size: 2}},
			{`{"model":"m","messages":[]}`, answer.Spec{Pieces: 3, Size: 4}},
		} {
			start := time.Now()
			resp := ask(t, c, q.body)
			var got struct {
				Model   string
				Choices []struct {
					Message struct{ Role, Content string }
				}
				Usage struct {
					Tokens int `json:"completion_tokens"`
				}
			}
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			want := string(q.spec.AppendText(nil))
			if got.Model != "m" || got.Choices[0].Message.Content != want || got.Choices[0].Message.Role != "assistant" || got.Usage.Tokens != q.spec.Pieces {
				t.Errorf("%+v, want %q", got, want)
			}
			if took, want := time.Since(start), time.Duration(50+10*(q.spec.Pieces-1))*time.Millisecond; took != want {
				t.Errorf("it took %s, want %s", took, want)
			}
		}
	})
}

// TestLeaving: a client that leaves while the model waits is noticed at once.
func TestLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := serve(t, mockmodel.Config{FirstToken: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://model/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if resp, err := c.Do(req); err == nil {
			resp.Body.Close()
			t.Error("an answer came")
		}
		synctest.Wait()
		if st := s.Stats(); st != (mockmodel.Stats{Begun: 1, Left: 1}) || time.Since(start) != time.Second {
			t.Errorf("%+v after %s", st, time.Since(start))
		}
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := serve(t, mockmodel.Config{FirstToken: 100 * time.Millisecond, Jitter: 0.5})
		least, most := time.Hour, time.Duration(0)
		for range 200 {
			start := time.Now()
			_, err := io.Copy(io.Discard, ask(t, c, `{}`).Body)
			if err != nil {
				t.Fatal(err)
			}
			least, most = min(least, time.Since(start)), max(most, time.Since(start))
		}
		if least < 50*time.Millisecond || least > 60*time.Millisecond || most > 150*time.Millisecond || most < 140*time.Millisecond {
			t.Errorf("from %s to %s", least, most)
		}
	})
}

// TestFailures: shares of the requests fail as they were told to.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := serve(t, mockmodel.Config{Refuse: 0.2, Status: 429, Cut: 0.2, Hang: 0.2, Tokens: 4})
		c.Timeout = time.Minute
		counts := map[string]int{}
		const n = 1000
		for i := range n {
			body := `{"stream":true}`
			if i%2 == 0 {
				body = `{}`
			}
			resp, err := c.Post("http://model/v1/chat/completions", "application/json", strings.NewReader(body))
			if err != nil {
				counts["hang"]++ // of a whole answer nothing comes
				continue
			}
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			switch {
			case resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "1":
				counts["refused"]++
			case err == nil:
				counts["right"]++
			case errors.Is(err, io.ErrUnexpectedEOF):
				counts["cut"]++
			default:
				counts["hang"]++
			}
		}
		for kind, share := range map[string]float64{"refused": .2, "cut": .2, "hang": .2, "right": .4} {
			if got := float64(counts[kind]) / n; got < share-.06 || got > share+.06 {
				t.Errorf("%s: %g, want %g", kind, got, share)
			}
		}
		synctest.Wait()
		if st := s.Stats(); st.Begun != n || st.Finished != int64(counts["right"]) || st.Failed != n-st.Finished {
			t.Errorf("%+v, seen from outside %v", st, counts)
		}
	})
}

func TestOtherRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := serve(t, mockmodel.Config{Model: "tiny"})
		for _, q := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"GET", "/v1/models", "", 200, `"id":"tiny"`},
			{"POST", "/v1/chat/completions", "{", 400, `"error"`},
			{"GET", "/v1/chat/completions", "", 404, `"error"`},
			{"GET", "/stats", "", 200, `{"begun":0,"finished":0,"failed":0,"left":0}`},
		} {
			req, err := http.NewRequestWithContext(t.Context(), q.method, "http://model"+q.path, strings.NewReader(q.body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != q.status || !strings.Contains(string(body), q.want) {
				t.Errorf("%s %s: %d %s, %v", q.method, q.path, resp.StatusCode, body, err)
			}
		}
	})
}

func TestFaults(t *testing.T) {
	for _, cfg := range []mockmodel.Config{
		{Tokens: -1}, {Size: 1 << 30}, {FirstToken: -1}, {Jitter: 2}, {Refuse: 0.5, Cut: 0.6}, {Hang: -1}, {Status: 200},
	} {
		if _, err := mockmodel.New(cfg); err == nil {
			t.Error(fmt.Sprintf("%+v", cfg), "is accepted")
		}
	}
}
