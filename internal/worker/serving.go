package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// serving is what the worker serves now: the catalogue, replaced as a whole.
type serving struct {
	current atomic.Pointer[snapshot]
	dirty   chan struct{} // capacity 1: the catalogue may have to be published

	mu  sync.Mutex // serialises replacements and guards cfg
	cfg *Config
}

// snapshot is a catalogue and whether it may still grow.
type snapshot struct {
	*catalogue
	unanswered bool // a provider never gave its list
	wait       time.Duration
	replaced   chan struct{} // closed when a newer snapshot is there
}

func (s *serving) configure(cfg *Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg = cfg
}

// refresh replaces the snapshot by one of the configuration and the lists of now.
func (w *Worker) refresh() {
	s := &w.serving
	s.mu.Lock()
	defer s.mu.Unlock()
	found, unanswered := w.discovery.lists()
	next := &snapshot{
		catalogue: newCatalogue(s.cfg, found, w.gate), unanswered: unanswered,
		wait: s.cfg.DiscoveryWait, replaced: make(chan struct{}),
	}
	if old := s.current.Swap(next); old != nil {
		close(old.replaced)
	}
	select {
	case s.dirty <- struct{}{}:
	default: // the publisher will find this snapshot anyway
	}
}

// find returns how to answer the model that a client named. While a provider
// never said what it serves, it blocks for an unknown model, but not for long.
func (w *Worker) find(ctx context.Context, model string) (*catalogue, *entry, error) {
	var patience <-chan time.Time
	for {
		s := w.serving.current.Load()
		if e := s.lookup(model); e != nil {
			return s.catalogue, e, nil
		}
		if !s.unanswered {
			return nil, nil, protocol.ErrModelNotFound(model)
		}
		if patience == nil {
			patience = time.After(s.wait)
		}
		select {
		case <-s.replaced:
		case <-patience:
			return nil, nil, protocol.ErrUnavailable("The model is not available yet, please try again later.", probeWait)
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}
