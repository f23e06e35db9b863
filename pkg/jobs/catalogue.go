package jobs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"
)

// Model is one entry of the catalogue, as GET /v1/models lists it.
type Model struct {
	ID      string `json:"id"`
	OwnedBy string `json:"owned_by"`
	Created int64  `json:"created"`          // Unix seconds
	Hidden  bool   `json:"hidden,omitempty"` // served, and not listed
}

// PoolModels is what the workers of one pool serve.
type PoolModels struct {
	Pool     string   `json:"pool"`
	Models   []Model  `json:"models"`
	Prefixes []string `json:"prefixes,omitempty"` // "openai/" routes every name that begins so
	// Partial says that the pool may serve more: a provider has not said yet what it
	// has. A name that nobody lists is then left to the pool's workers.
	Partial bool `json:"partial,omitempty"`
}

func (m PoolModels) check() error {
	faults := []error{checkToken("pool", m.Pool)}
	for _, model := range m.Models {
		if model.ID == "" {
			faults = append(faults, errors.New("a model has no id"))
		}
	}
	if slices.Contains(m.Prefixes, "") {
		faults = append(faults, errors.New("a prefix is empty"))
	}
	return errors.Join(faults...)
}

// PublishModels makes m the pool's part of the catalogue. It stays when the pool's
// last worker leaves: requests for its models wait for the next one. Without
// models and prefixes the pool is taken out. All workers of a pool say the same; where
// they do not, the last one is believed. It keeps trying until ctx ends.
func (c *Conn) PublishModels(ctx context.Context, m PoolModels) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("publish models: %w", err)
	}
	c.mu.Lock()
	if c.said == nil {
		c.said = map[string]PoolModels{}
	}
	c.said[m.Pool] = m
	c.mu.Unlock()
	value, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("publish models: %w", err)
	}
	err = c.persist(ctx, "publish models", func(ctx context.Context) error {
		have, err := c.models.Get(ctx, m.Pool)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			if len(m.Models)+len(m.Prefixes) == 0 {
				return nil
			}
		case err != nil:
			return err
		case len(m.Models)+len(m.Prefixes) == 0:
			return c.models.Delete(ctx, m.Pool)
		case bytes.Equal(have.Value(), value):
			return nil // every frontend would be told of nothing
		}
		_, err = c.models.Put(ctx, m.Pool, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("publish models: %w", err)
	}
	return nil
}

// Catalogue is a live view of which pool serves which model. Its methods may be
// called by any number of goroutines; Pool and Models take no lock and read
// nothing from NATS. While NATS is away the last state stands.
type Catalogue struct {
	view  view[PoolModels]
	index atomic.Pointer[index]

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
}

// index is one state of the catalogue, never modified.
type index struct {
	pools    map[string]string // by exact name
	prefixes []prefix          // longest first
	models   []Model           // by id
}

type prefix struct{ prefix, pool string }

// WatchCatalogue reads the catalogue and follows it until Close or the connection's
// end. It returns when the catalogue was read once, or with an error when ctx ends
// before.
func (c *Conn) WatchCatalogue(ctx context.Context) (*Catalogue, error) {
	cat := &Catalogue{changed: make(chan struct{})}
	cat.index.Store(&index{})
	cat.view = view[PoolModels]{
		c: c, kv: c.models,
		decode: func(value []byte) (m PoolModels, err error) {
			if err = json.Unmarshal(value, &m); err == nil {
				err = m.check()
			}
			return m, err
		},
		publish: cat.publish,
	}
	if err := cat.view.start(ctx); err != nil {
		return nil, err
	}
	return cat, nil
}

// Close ends the view and waits for it. The last state can still be read.
func (cat *Catalogue) Close() { cat.view.close() }

// Pool returns the pool that serves model: the one that lists it, else the one with
// the longest prefix of its name, else one that may serve it (PoolModels.Partial). Among several such pools it is always the first by
// name, so that all frontends choose the same.
func (cat *Catalogue) Pool(model string) (pool string, ok bool) {
	ix := cat.index.Load()
	if pool, ok = ix.pools[model]; ok {
		return pool, true
	}
	for _, p := range ix.prefixes {
		if len(model) > len(p.prefix) && strings.HasPrefix(model, p.prefix) {
			return p.pool, true
		}
	}
	return "", false
}

// Models lists every model that is not hidden by id, each once. The caller must not change the slice.
func (cat *Catalogue) Models() []Model { return cat.index.Load().models }

// Empty reports whether no pool serves anything.
func (cat *Catalogue) Empty() bool {
	ix := cat.index.Load()
	return len(ix.pools) == 0 && len(ix.prefixes) == 0
}

// Pools lists the pools that serve something, by name.
func (cat *Catalogue) Pools() []string {
	ix := cat.index.Load()
	names := slices.Collect(maps.Values(ix.pools))
	for _, p := range ix.prefixes {
		names = append(names, p.pool)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Changed returns a channel that is closed at the next change. To wait for a state,
// take the channel first, then look, then wait.
func (cat *Catalogue) Changed() <-chan struct{} {
	cat.mu.Lock()
	defer cat.mu.Unlock()
	return cat.changed
}

func (cat *Catalogue) publish(entries map[string]PoolModels) {
	cat.index.Store(newIndex(entries))
	cat.mu.Lock()
	defer cat.mu.Unlock()
	close(cat.changed)
	cat.changed = make(chan struct{})
}

func newIndex(entries map[string]PoolModels) *index {
	ix := &index{pools: make(map[string]string)}
	for _, pool := range slices.Sorted(maps.Keys(entries)) {
		for _, m := range entries[pool].Models {
			if _, taken := ix.pools[m.ID]; !taken {
				ix.pools[m.ID] = pool
				if !m.Hidden {
					ix.models = append(ix.models, m)
				}
			}
		}
		for _, p := range entries[pool].Prefixes {
			ix.prefixes = append(ix.prefixes, prefix{p, pool})
		}
		if entries[pool].Partial {
			ix.prefixes = append(ix.prefixes, prefix{"", pool}) // the shortest of all: asked last
		}
	}
	slices.SortFunc(ix.models, func(a, b Model) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortStableFunc(ix.prefixes, func(a, b prefix) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	return ix
}
