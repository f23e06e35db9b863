package worker

import (
	"cmp"
	"slices"
	"strings"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/jobs"
)

// catalogue is what a worker serves, by the names that clients use. It is a
// snapshot: a new one replaces it when the configuration or a provider's list
// changes.
//
// A name is looked up among the configured models, then among those the
// providers listed, in the providers' order, then by the longest prefix.
type catalogue struct {
	pool     string
	gate     *gate
	entries  map[string]*entry
	prefixes []prefix // longest first
	listed   []jobs.Model
}

// entry is a model and the ways to answer it.
type entry struct {
	name       string
	label      string // for metrics: name, or the prefix it was routed by
	targets    []*target
	weights    []int
	maxTokens  int
	configured bool       // not merely found
	held       *condition // of a model that only a prefix routes: to be dropped; else nil
}

type prefix struct {
	text string
	spec *ProviderSpec
}

// listing is what a provider said it serves.
type listing map[string][]provider.Model // by ProviderSpec.Name

// newCatalogue builds the snapshot of cfg, which has its defaults and is valid,
// and of what the providers said so far.
func newCatalogue(cfg *Config, found listing, g *gate) *catalogue {
	c := &catalogue{pool: cfg.Pool, gate: g, entries: make(map[string]*entry)}
	specs := make(map[string]*ProviderSpec, len(cfg.Providers))
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		specs[p.Name] = p
		g.quotaOf(p.Name, p.Concurrency)
		if p.Prefix != "" {
			c.prefixes = append(c.prefixes, prefix{text: p.Prefix, spec: p})
		}
	}
	slices.SortStableFunc(c.prefixes, func(a, b prefix) int { return cmp.Compare(len(b.text), len(a.text)) })
	for i := range cfg.Models {
		if m := &cfg.Models[i]; m.in(cfg.Pool) {
			c.addConfigured(m, specs)
		}
	}
	for i := range cfg.Providers {
		for _, m := range found[cfg.Providers[i].Name] {
			c.addFound(m, &cfg.Providers[i])
		}
	}
	slices.SortFunc(c.listed, func(a, b jobs.Model) int { return strings.Compare(a.ID, b.ID) })
	c.retain()
	return c
}

func (c *catalogue) addConfigured(m *Model, specs map[string]*ProviderSpec) {
	e := &entry{name: m.Name, label: m.Name, maxTokens: m.MaxTokens, configured: true}
	for _, t := range m.Targets {
		spec := specs[t.Provider]
		upstream := orElse(t.Model, m.Name)
		key := targetKey{name: m.Name, provider: spec.Name, identity: spec.Identity, model: upstream}
		made := newTarget(spec, upstream, c.gate.pin(key, e.label), c.gate)
		made.concurrency = t.Concurrency
		made.limits = merge(t.Limits, spec.Limits)
		made.retries = m.Retries.withDefaults(spec.Retries)
		made.profile = t.Profile
		made.streamAlways = t.StreamAlways || spec.StreamAlways
		e.targets = append(e.targets, made)
		e.weights = append(e.weights, t.Weight)
	}
	c.entries[m.Name] = e
	c.listed = append(c.listed, jobs.Model{ID: m.Name, OwnedBy: orElse(m.OwnedBy, m.Targets[0].Provider)})
}

func (c *catalogue) addFound(m provider.Model, spec *ProviderSpec) {
	if m.ID == "" || c.entries[m.ID] != nil {
		return
	}
	key := targetKey{provider: spec.Name, identity: spec.Identity, model: m.ID}
	c.entries[m.ID] = &entry{
		name: m.ID, label: m.ID, weights: []int{0},
		targets: []*target{newTarget(spec, m.ID, c.gate.pin(key, m.ID), c.gate)},
	}
	c.listed = append(c.listed, jobs.Model{
		ID: m.ID, OwnedBy: orElse(m.OwnedBy, spec.Name), Created: m.Created, Hidden: spec.Hidden,
	})
}

// lookup returns how to answer the model that a client named, or nil. Whoever
// gets an entry calls release once.
func (c *catalogue) lookup(name string) *entry {
	if e := c.entries[name]; e != nil {
		return e
	}
	for _, p := range c.prefixes {
		rest, ok := strings.CutPrefix(name, p.text)
		if !ok || rest == "" {
			continue
		}
		upstream := rest
		if p.spec.KeepPrefix {
			upstream = name
		}
		label := p.text + "*"
		h := c.gate.hold(targetKey{provider: p.spec.Name, identity: p.spec.Identity, model: upstream}, label)
		return &entry{
			name: name, label: label, weights: []int{0}, held: h,
			targets: []*target{newTarget(p.spec, upstream, h, c.gate)},
		}
	}
	return nil
}

func (c *catalogue) release(e *entry) {
	if e.held != nil {
		c.gate.drop(e.held)
	}
}

// published is what the frontends are told.
func (c *catalogue) published() jobs.PoolModels {
	pm := jobs.PoolModels{Pool: c.pool, Models: c.listed}
	for _, p := range c.prefixes {
		pm.Prefixes = append(pm.Prefixes, p.text)
	}
	slices.Sort(pm.Prefixes)
	return pm
}

// retain lets the gate forget the targets of earlier snapshots.
func (c *catalogue) retain() {
	keep := make(map[*condition]bool)
	for _, e := range c.entries {
		for _, t := range e.targets {
			keep[t.condition] = true
		}
	}
	c.gate.retain(keep)
}

// merge fills the zero phases of l from d.
func merge(l, d provider.Limits) provider.Limits {
	return provider.Limits{
		Connect:    orElse(l.Connect, d.Connect),
		FirstToken: orElse(l.FirstToken, d.FirstToken),
		Idle:       orElse(l.Idle, d.Idle),
		Total:      orElse(l.Total, d.Total),
	}
}
