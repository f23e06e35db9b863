package providertest

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
)

// short is a limit that these servers break.
const short = 150 * time.Millisecond

// limits tests that each phase of a call has its own.
func (s *Suite) limits(t *testing.T) {
	silent := func(srv *server, _ http.ResponseWriter, r *http.Request) { srv.hold(r) }
	t.Run("connect", s.connectLimit)
	t.Run("first token, no headers", func(t *testing.T) {
		s.breaks(t, upstream.PhaseFirstToken, provider.Limits{Connect: patience, FirstToken: short, Idle: patience}, silent)
	})
	t.Run("first token, only pings", func(t *testing.T) {
		s.breaks(t, upstream.PhaseFirstToken, provider.Limits{FirstToken: short, Idle: patience}, s.pinging())
	})
	t.Run("idle, only pings", func(t *testing.T) {
		s.breaks(t, upstream.PhaseIdle, provider.Limits{FirstToken: patience, Idle: short}, s.pinging(s.Begin, s.Text("Hello")))
	})
	t.Run("total", func(t *testing.T) {
		s.breaks(t, upstream.PhaseTotal, provider.Limits{FirstToken: patience, Idle: patience, Total: short}, s.pinging(s.Begin, s.Text("Hello")))
	})
}

// pinging returns a handler that says events and then only pings, every 10 ms.
func (s *Suite) pinging(events ...string) func(*server, http.ResponseWriter, *http.Request) {
	return func(srv *server, w http.ResponseWriter, r *http.Request) {
		say(w, events...)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-r.Context().Done():
				srv.gone <- struct{}{}
				return
			case <-tick.C:
				say(w, s.Ping)
			}
		}
	}
}

// breaks calls a server that exceeds the limit of a phase.
func (s *Suite) breaks(t *testing.T, phase upstream.Phase, limits provider.Limits, handler func(*server, http.ResponseWriter, *http.Request)) {
	t.Helper()
	srv := newServer(t, handler)
	req := streamRequest(t)
	req.Limits = limits
	r := &Recorder{}
	begin := time.Now()
	err := s.adapter(t, srv.URL, upstream.Config{}).Complete(t.Context(), req, r)
	checkTimeout(t, err, phase, time.Since(begin))
	within(t, soon, srv.gone, "the server sees that the call ended")
	if len(r.Finished) > 0 {
		t.Errorf("finish reasons %v out of nowhere", r.Finished)
	}
}

func checkTimeout(t *testing.T, err error, phase upstream.Phase, took time.Duration) {
	t.Helper()
	e, ok := errors.AsType[*provider.Error](err)
	if !ok {
		t.Fatalf("got %v, want a *provider.Error", err)
	}
	if reason, ok := errors.AsType[*upstream.TimeoutError](err); !ok || reason.Phase != phase {
		t.Errorf("cause is %v, want the limit of the phase %q", e.Cause, phase)
	}
	if e.Public.Status != http.StatusGatewayTimeout || e.Public.Code != "upstream_timeout" || !e.Fallback {
		t.Errorf("client sees %d %s, fallback %v, want 504 upstream_timeout and a fallback", e.Public.Status, e.Public.Code, e.Fallback)
	}
	if answered := phase == upstream.PhaseIdle || phase == upstream.PhaseTotal; e.Retry == answered {
		t.Errorf("retry is %v in the phase %q", e.Retry, phase)
	}
	if took < short || took > short+soon {
		t.Errorf("ended after %s, the limit is %s", took, short)
	}
}

// connectLimit calls a server that accepts connections and never shakes hands.
func (s *Suite) connectLimit(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	req := streamRequest(t)
	req.Limits = provider.Limits{Connect: short, FirstToken: patience, Total: patience}
	url := "https://" + strings.TrimPrefix(ln.Addr().String(), "tcp://")
	begin := time.Now()
	err = s.adapter(t, url, upstream.Config{}).Complete(t.Context(), req, &Recorder{})
	checkTimeout(t, err, upstream.PhaseConnect, time.Since(begin))
}
