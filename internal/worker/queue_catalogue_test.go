package worker_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider/echo"
	"github.com/osiris/osiris/internal/worker"
	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

// listing serves a model list, once open is closed, and answers.
func listing(open <-chan struct{}, away *atomic.Bool, ids ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/models") {
			speakAs(true)(w, r)
			return
		}
		select {
		case <-open:
		case <-r.Context().Done():
			return
		}
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"`+strings.Join(ids, `","object":"model"},{"id":"`)+`","object":"model"}]}`)
	}
}

func discovering(u *upstreamServer) worker.Config {
	return worker.Config{
		Providers: []worker.ProviderSpec{
			{Name: "up", Prefix: "up/", Provider: u.provider, Discover: true, Refresh: time.Hour},
			{Name: "echo", Prefix: "echo?", KeepPrefix: true, Provider: echo.New(), Discover: true},
		},
		DiscoveryWait: patience,
	}
}

// untilServed waits until the catalogue lists exactly ids.
func untilServed(t *testing.T, cat *jobs.Catalogue, ids ...string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		changed := cat.Changed()
		var got []string
		for _, m := range cat.Models() {
			got = append(got, m.ID)
		}
		if slices.Equal(got, ids) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("the catalogue lists %v, not %v", got, ids)
		}
	}
}

// TestSlowListDelaysNothing: a worker whose provider does not say what it serves
// answers for what it knows, and what it does not know yet waits.
func TestSlowListDelaysNothing(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		open := make(chan struct{})
		u := newUpstream(t, listing(open, new(atomic.Bool), "up-model", "other"))
		rig := newRig(t, n, discovering(u))
		cat, err := rig.conn.WatchCatalogue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer cat.Close()
		untilServed(t, cat, "echo")
		if res := rig.ask("echo?text=Hi", false); res.err != nil || !strings.Contains(string(res.answer), `"content":"Hi"`) {
			t.Errorf("echo: %s, %v", res.answer, res.err)
		}
		check(t, rig.ask("up/up-model", true), true)
		waiting := rig.submit("up-model", true, patience)
		if res := rig.ask("echo", false); res.err != nil {
			t.Errorf("echo beside a waiting job: %v", res.err)
		}
		close(open)
		check(t, rig.await(waiting), true)
		untilServed(t, cat, "echo", "other", "up-model")
		if pool, ok := cat.Pool("up/anything"); !ok || pool != "default" {
			t.Errorf("a prefix goes to pool %q, %v", pool, ok)
		}
	})
}

// TestRestartKeepsTheCatalogue: a worker that starts while a provider is away takes
// nothing out of the list.
func TestRestartKeepsTheCatalogue(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		open := make(chan struct{})
		close(open)
		away := new(atomic.Bool)
		u := newUpstream(t, listing(open, away, "up-model"))
		rig := newRig(t, n, discovering(u))
		cat, err := rig.conn.WatchCatalogue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer cat.Close()
		untilServed(t, cat, "echo", "up-model")
		if err := rig.worker.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		away.Store(true)
		cfg := discovering(u)
		cfg.Models = []worker.Model{{Name: "new", Targets: []worker.Target{{Provider: "up", Model: "up-model"}}}}
		second := newRig(t, n, cfg)
		untilServed(t, cat, "echo", "new", "up-model")
		check(t, second.ask("new", true), true)
		away.Store(false)
		waiting := second.ask("up-model", true)
		check(t, waiting, true)
	})
}
