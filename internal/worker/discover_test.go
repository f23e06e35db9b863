package worker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// shelf is a provider's model list that a test changes.
type shelf struct {
	mu    sync.Mutex
	ids   []string
	err   error
	hang  bool
	asked int
}

func (s *shelf) list(ctx context.Context) ([]provider.Model, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.hang {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return nil, ctx.Err()
	}
	var models []provider.Model
	for _, id := range s.ids {
		models = append(models, provider.Model{ID: id})
	}
	return models, s.err
}

func (s *shelf) set(err error, ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids, s.err, s.hang = ids, err, false
}

// discovering is a worker whose one provider lists what s says. It must be
// stopped in the bubble.
func discovering(t *testing.T, s *shelf, p *scripted) *Worker {
	p.list = s.list
	w := newTestWorker(t, Config{Providers: []ProviderSpec{{Name: "p", Provider: p, Discover: true, Refresh: time.Minute}}})
	w.discovery.start(t.Context(), w.cfg.Providers)
	w.refresh()
	return w
}

func (w *Worker) knows(model string) bool {
	e := w.serving.current.Load().lookup(model)
	return e != nil
}

func TestDiscoveryFollowsTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{ids: []string{"one"}}
		w := discovering(t, s, &scripted{})
		defer w.discovery.stop()
		synctest.Wait()
		if !w.knows("one") {
			t.Fatal("the first list is not served")
		}
		s.set(nil, "one", "two")
		pass(time.Minute)
		synctest.Wait()
		if !w.knows("two") {
			t.Error("a new model is not served after the refresh")
		}
		s.set(errors.New("away"))
		pass(time.Hour)
		synctest.Wait()
		if !w.knows("one") || !w.knows("two") {
			t.Error("the list was not kept while the provider was away")
		}
		s.set(nil, "three")
		pass(time.Minute)
		synctest.Wait()
		if w.knows("one") || !w.knows("three") {
			t.Error("the list is not the provider's after it came back")
		}
	})
}

func TestDiscoveryAsksAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{err: errors.New("away")}
		w := discovering(t, s, &scripted{})
		defer w.discovery.stop()
		pass(10 * time.Second) // after 1, 2, 4 s at most
		synctest.Wait()
		if s.asked < 4 || s.asked > 6 {
			t.Errorf("asked %d times in 10 s", s.asked)
		}
		s.set(nil, "one")
		pass(8 * time.Second)
		synctest.Wait()
		if !w.knows("one") {
			t.Error("not served after the provider came")
		}
	})
}

func TestJobWaitsForTheFirstList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{err: errors.New("away")}
		p := &scripted{script: []act{answering(wholeAnswer)}}
		w := discovering(t, s, p)
		defer w.discovery.stop()
		pass(10 * time.Millisecond)
		s.set(nil, "one")
		start := time.Now()
		_, _, err := w.find(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took <= 0 || took > 2*time.Second {
			t.Errorf("waited %v", took)
		}
	})
}

func TestJobDoesNotWaitLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{hang: true}
		w := discovering(t, s, &scripted{})
		defer w.discovery.stop()
		start := time.Now()
		_, _, err := w.find(t.Context(), "one")
		if e := protocol.AsError(err); err == nil || e.Status != 503 || e.RetryAfter == 0 {
			t.Errorf("error is %v", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("waited %v", took)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(jobs.ErrCancelled)
		if _, _, err := w.find(ctx, "one"); !errors.Is(err, jobs.ErrCancelled) {
			t.Errorf("error is %v", err)
		}
		s.set(nil, "two")
		pass(time.Minute)
		if _, _, err := w.find(t.Context(), "one"); protocol.AsError(err).Status != 404 {
			t.Errorf("error is %v once every list is known", err)
		}
	})
}

// TestReloadKeepsLists: what a provider said stays while it is asked again, unless
// it is another provider by then.
func TestReloadKeepsLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{ids: []string{"one"}}
		w := discovering(t, s, &scripted{})
		defer w.discovery.stop()
		synctest.Wait()
		s.set(errors.New("away"))
		w.discovery.start(t.Context(), w.cfg.Providers)
		w.refresh()
		synctest.Wait()
		if !w.knows("one") {
			t.Error("the list was lost")
		}
		w.cfg.Providers[0].Identity = "another"
		w.serving.configure(&w.cfg)
		w.discovery.start(t.Context(), w.cfg.Providers)
		w.refresh()
		if w.knows("one") {
			t.Error("another provider serves the list of the one before")
		}
	})
}
