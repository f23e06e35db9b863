package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

func TestIndexChoosesDeterministically(t *testing.T) {
	ix := newIndex(map[string]PoolModels{
		"b": {Pool: "b", Models: []Model{{ID: "shared"}, {ID: "only-b"}}, Prefixes: []string{"openai/", "x/"}},
		"a": {Pool: "a", Models: []Model{{ID: "shared"}, {ID: "openai/listed"}}, Prefixes: []string{"openai/gpt-", "x/"}},
		"c": {Pool: "c", Models: []Model{{ID: "z", OwnedBy: "me", Created: 5}}},
	})
	cat := new(Catalogue)
	cat.index.Store(ix)
	for model, want := range map[string]string{
		"shared": "a", "only-b": "b", "z": "c",
		"openai/listed": "a", "openai/gpt-5": "a", "openai/o3": "b", "x/y": "a",
		"openai/": "", "unknown": "", "": "",
	} {
		pool, ok := cat.Pool(model)
		if pool != want || ok != (want != "") {
			t.Errorf("Pool(%q) = %q, %v, want %q", model, pool, ok, want)
		}
	}
	var ids []string
	for _, m := range cat.Models() {
		ids = append(ids, m.ID)
	}
	if want := []string{"only-b", "openai/listed", "shared", "z"}; !slices.Equal(ids, want) {
		t.Errorf("models %v, want %v", ids, want)
	}
	if got := cat.Pools(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("pools %v", got)
	}
	if cat.Empty() || !(func() bool { e := new(Catalogue); e.index.Store(newIndex(nil)); return e.Empty() })() {
		t.Error("Empty is wrong")
	}
}

func TestCatalogueFollowsWorkers(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		worker, front := testConn(t, testConfig(n)), testConn(t, testConfig(n))
		cat, err := front.WatchCatalogue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer cat.Close()
		if !cat.Empty() {
			t.Fatal("a new catalogue is not empty")
		}
		publish := func(m PoolModels) {
			t.Helper()
			if err := worker.PublishModels(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		gpu := PoolModels{Pool: "gpu", Models: []Model{{ID: "m1", OwnedBy: "me", Created: 7}}, Prefixes: []string{"openai/"}}
		publish(gpu)
		awaitPool(t, cat, "m1", "gpu")
		awaitPool(t, cat, "openai/anything", "gpu")
		if got := cat.Models(); !slices.Equal(got, gpu.Models) {
			t.Errorf("models %v", got)
		}
		changed := cat.Changed()
		publish(gpu) // says nothing new: the next change is the one below
		publish(PoolModels{Pool: "gpu", Models: []Model{{ID: "m2"}}})
		awaitPool(t, cat, "m2", "gpu")
		awaitPool(t, cat, "m1", "")
		select {
		case <-changed:
		default:
			t.Error("the change was not announced")
		}
		publish(PoolModels{Pool: "gpu"})
		awaitPool(t, cat, "m2", "")
		if !cat.Empty() {
			t.Error("the withdrawn pool is still there")
		}
		publish(PoolModels{Pool: "gpu"}) // nothing there to withdraw
		publish(gpu)
		awaitPool(t, cat, "m1", "gpu")
	})
}

// awaitPool waits until model is served by pool ("": by none).
func awaitPool(t *testing.T, cat *Catalogue, model, pool string) {
	t.Helper()
	awaitPoolWithin(t, cat, model, pool, promised)
}

func awaitPoolWithin(t *testing.T, cat *Catalogue, model, pool string, limit time.Duration) {
	t.Helper()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		changed := cat.Changed()
		if got, _ := cat.Pool(model); got == pool {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			t.Fatalf("%s is not served by %q within %s", model, pool, limit)
		}
	}
}

func TestPublishModelsRefusesFaults(t *testing.T) {
	c := testConn(t, testConfig(natstest.Shared(t, 1)))
	for _, m := range []PoolModels{
		{Pool: "a.b", Models: []Model{{ID: "m"}}}, {Pool: "p", Models: []Model{{}}}, {Pool: "p", Prefixes: []string{""}},
	} {
		if err := c.PublishModels(t.Context(), m); err == nil {
			t.Errorf("%+v was accepted", m)
		}
	}
}

// The watch goes on after every server was restarted, and what was published
// before is still there.
func TestCatalogueSurvivesRestarts(t *testing.T) {
	t.Parallel()
	natstest.EachOwn(t, func(t *testing.T, n *natstest.NATS) {
		front := testConn(t, testConfig(n))
		cat, err := front.WatchCatalogue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer cat.Close()
		if err := front.PublishModels(t.Context(), PoolModels{Pool: "p", Models: []Model{{ID: "m0"}}}); err != nil {
			t.Fatal(err)
		}
		awaitPool(t, cat, "m0", "p")
		n.RestartAll(t)
		worker := testConn(t, testConfig(n))
		if err := worker.PublishModels(t.Context(), PoolModels{Pool: "q", Models: []Model{{ID: "m1"}}}); err != nil {
			t.Fatal(err)
		}
		awaitPoolWithin(t, cat, "m1", "q", election)
		awaitPool(t, cat, "m0", "p")
	})
}

// Whichever node of three goes, the one that a frontend is connected to or the one
// that its watch lives on: changes made meanwhile arrive within seconds.
func TestCatalogueSurvivesEachNode(t *testing.T) {
	t.Parallel()
	n := natstest.Own(t, 3)
	worker := testConn(t, testConfig(n))
	var cats []*Catalogue
	for i := range n.Nodes() {
		cfg := testConfig(n)
		cfg.URL = n.URL(i) // the first tried; the others are learned from the cluster
		cat, err := testConn(t, cfg).WatchCatalogue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer cat.Close()
		cats = append(cats, cat)
	}
	for i := range n.Nodes() {
		n.Kill(i)
		ctx, cancel := context.WithTimeout(t.Context(), election)
		model := fmt.Sprintf("m%d", i)
		if err := worker.PublishModels(ctx, PoolModels{Pool: "p", Models: []Model{{ID: model}}}); err != nil {
			t.Fatalf("publish without node %d: %v", i, err)
		}
		cancel()
		var wg sync.WaitGroup
		for _, cat := range cats {
			wg.Go(func() { awaitModel(t, cat, model, election) })
		}
		wg.Wait()
		n.Restart(t, i)
	}
}

// awaitModel is awaitPool for goroutines: it reports, and leaves the test running.
func awaitModel(t *testing.T, cat *Catalogue, model string, limit time.Duration) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		changed := cat.Changed()
		if _, ok := cat.Pool(model); ok {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			t.Errorf("%s is not served within %s", model, limit)
			return
		}
	}
}

// A watch that died without a word is noticed by comparing revisions.
func TestViewNoticesAMissedChange(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		cat, err := c.WatchCatalogue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer cat.Close()
		stream := c.n.bucketStream(c.n.modelsBucket())
		s, err := c.js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		names := s.ConsumerNames(t.Context())
		for name := range names.Name() {
			if err := c.js.DeleteConsumer(t.Context(), stream, name); err != nil && !hasCode(err, jetstream.JSErrCodeConsumerNotFound) {
				t.Fatal(err)
			}
		}
		if err := c.PublishModels(t.Context(), PoolModels{Pool: "p", Models: []Model{{ID: "m"}}}); err != nil {
			t.Fatal(err)
		}
		awaitPoolWithin(t, cat, "m", "p", 4*viewCheck)
	})
}

func TestWatchEndsWithItsConnection(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		if err := c.PublishModels(t.Context(), PoolModels{Pool: "p", Models: []Model{{ID: "m"}}}); err != nil {
			t.Fatal(err)
		}
		cat, err := c.WatchCatalogue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		cat.Close()
		cat.Close()
		if pool, _ := cat.Pool("m"); pool != "p" {
			t.Errorf("the last state is gone: %q", pool)
		}
		if _, err := c.WatchCatalogue(t.Context()); err == nil {
			t.Error("watched on a closed connection")
		}
	})
}

func TestWatchGivesUpWithItsContext(t *testing.T) {
	n := natstest.Own(t, 1)
	c := testConn(t, testConfig(n))
	n.Kill(0)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.WatchKeys(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v", err)
	}
}

func TestPartialCatalogue(t *testing.T) {
	ix := newIndex(map[string]PoolModels{
		"a": {Pool: "a", Models: []Model{{ID: "m"}}, Prefixes: []string{"x/"}},
		"b": {Pool: "b", Partial: true},
	})
	cat := &Catalogue{}
	cat.index.Store(ix)
	for model, want := range map[string]string{"m": "a", "x/y": "a", "unheard of": "b"} {
		if pool, ok := cat.Pool(model); !ok || pool != want {
			t.Errorf("%s is served by %q (%t), want %q", model, pool, ok, want)
		}
	}
}
