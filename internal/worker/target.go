package worker

import (
	"time"

	"github.com/osiris/osiris/internal/provider"
)

// target is one way to answer a model: a provider, the model's name there and how
// to call it. It does not change; what is learned about it is in condition and
// quota, which outlive a reload.
type target struct {
	provider     string
	impl         provider.Provider
	model        string // the provider's name for it
	concurrency  int    // 0 is unbounded
	breaker      Breaker
	limits       provider.Limits
	profile      provider.Profile
	retries      Retries
	streamAlways bool

	condition *condition
	quota     *quota
}

// newTarget is a target of spec with the provider's defaults.
func newTarget(spec *ProviderSpec, model string, h *condition, g *gate) *target {
	return &target{
		provider: spec.Name, impl: spec.Provider, model: model,
		breaker: spec.Breaker, limits: spec.Limits, retries: spec.Retries, streamAlways: spec.StreamAlways,
		condition: h, quota: g.quotaOf(spec.Name, spec.Concurrency),
	}
}

// targetKey identifies what fails and fills up together. Equal keys before and
// after a reload keep their breaker and count.
type targetKey struct {
	name     string // the configured model's name; "" for models nobody configured
	provider string
	identity string
	model    string
}

// condition is what is known about a target. Guarded by gate.mu.
type condition struct {
	key     targetKey
	label   string // for metrics: the name of the model, or the prefix it was routed by
	inUse   int
	breaker breaker
	refs    int       // jobs that may still use it, where it is not in the catalogue
	pinned  bool      // in the catalogue
	noted   time.Time // when the operator was last told of it
}

// quota counts the calls to a provider. Guarded by gate.mu.
type quota struct {
	limit int // 0 is unbounded
	inUse int
}

// full reports whether another call would be too many. Holds gate.mu.
func (t *target) full() bool {
	return t.concurrency > 0 && t.condition.inUse >= t.concurrency ||
		t.quota.limit > 0 && t.quota.inUse >= t.quota.limit
}

// maxUnlisted bounds what is remembered of models that only a prefix routes:
// their names are the client's choice.
const maxUnlisted = 1024

// pin returns what is known under key, kept until the next retain without it.
func (g *gate) pin(key targetKey, label string) *condition {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.known(key, label)
	h.pinned = true
	return h
}

// hold returns what is known under key, kept until drop.
func (g *gate) hold(key targetKey, label string) *condition {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.known(key, label)
	h.refs++
	return h
}

// drop takes one hold back. What nobody uses and nothing is known about is
// forgotten.
func (g *gate) drop(h *condition) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.refs--; h.idle() && h.breaker == (breaker{}) {
		delete(g.targets, h.key)
	}
}

// retain unpins everything but keep, and forgets what nobody uses and nothing is
// known about.
func (g *gate) retain(keep map[*condition]bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, h := range g.targets {
		if h.pinned = keep[h]; h.idle() && h.breaker == (breaker{}) {
			delete(g.targets, key)
		}
	}
}

// known returns the entry for key, making it if need be. Holds g.mu.
func (g *gate) known(key targetKey, label string) *condition {
	h := g.targets[key]
	if h == nil {
		h = &condition{key: key, label: label}
		g.makeRoom()
		g.targets[key] = h
	}
	return h
}

func (h *condition) idle() bool { return h.refs == 0 && !h.pinned }

// makeRoom forgets an unused, unlisted target if there are too many. Holds g.mu.
func (g *gate) makeRoom() {
	if len(g.targets) < maxUnlisted {
		return
	}
	for key, h := range g.targets {
		if h.idle() {
			delete(g.targets, key)
			return
		}
	}
}

// quotaOf returns the count of a provider's calls, with the given limit from now on.
func (g *gate) quotaOf(name string, limit int) *quota {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.quotas[name]
	if q == nil {
		q = &quota{}
		g.quotas[name] = q
	}
	q.limit = limit
	g.admit() // a higher limit may be somebody's turn
	return q
}

// operatorPause is how often one target may call for the operator.
const operatorPause = time.Minute

// mayNote reports whether the operator should be told about h now, and notes
// that it is done.
func (g *gate) mayNote(h *condition, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !h.noted.IsZero() && now.Sub(h.noted) < operatorPause {
		return false
	}
	h.noted = now
	return true
}
