package worker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/osiris/osiris/internal/provider"
)

// Config says what a worker serves and how. The zero value of every field is
// usable, except that a worker without providers serves nothing.
type Config struct {
	ID       string // unique among workers; New makes one up if empty
	Pool     string // the pool whose jobs it takes; "default" if empty
	Slots    int    // jobs run at the same time; 64 if zero
	Reserved int    // of these, only for interactive jobs; below Slots

	Models    []Model        // configured by hand; they win over discovered ones
	Providers []ProviderSpec // in order of precedence where their lists collide
	Breaker   Breaker

	// DiscoveryWait is how long a job waits for the first answer of model lists
	// that were never answered, if its model is known nowhere else; 5 s if zero.
	DiscoveryWait time.Duration
}

// Model is one model by the name that clients use, and where it is to be had.
type Model struct {
	Name    string
	Pool    string   // served only by workers of this pool; "" is any
	OwnedBy string   // for the model list; the first target's provider if empty
	Targets []Target // in order of preference
	Retries Retries

	// MaxTokens is the max_completion_tokens a request gets that names no limit; 0
	// leaves it to the provider.
	MaxTokens int
}

// Target is one provider's version of a model.
//
// Targets are tried in their order. Neighbours that carry a weight above zero
// form a group whose order is drawn for each job, by weight: the first is chosen
// with the probability of its share of the group, the second among the rest, and
// so on. A target without weight is a group of its own, a plain fallback.
type Target struct {
	Provider string // ProviderSpec.Name
	Model    string // the provider's name for the model; Model.Name if empty
	Weight   int    // share of the group; 0 is a group of its own

	// Concurrency bounds the calls under way to this target from this worker; 0
	// is unbounded. When it is reached, the next target is tried; when it is
	// reached on all of them, the job waits its turn.
	Concurrency int

	Limits       provider.Limits // each zero phase takes the provider's default
	StreamAlways bool            // call streaming for JSON clients too: proxies that cut silent connections
	Profile      provider.Profile
}

// Retries bound what is repeated on one target before the next is tried.
type Retries struct {
	Attempts int           // calls of one target, the first included; 3 if zero, 1 for none
	Base     time.Duration // wait before the second call, doubled each time; 500 ms if zero
	Max      time.Duration // longest wait, a server's Retry-After included: above it the next target is tried; 15 s if zero
}

// ProviderSpec is a provider and what holds for every model it serves without
// configuration.
type ProviderSpec struct {
	Name     string // unique
	Prefix   string // "openai/": routes any name behind it to this provider; "" has none
	Provider provider.Provider

	// KeepPrefix hands the name to the provider with its prefix: "echo?ttft=1s"
	// is such a name with the prefix "echo?".
	KeepPrefix bool

	Discover bool          // ask Provider.Models for the catalogue
	Refresh  time.Duration // how often; 5 min if zero
	Hidden   bool          // what it has is served, and not listed

	// Defaults of a target of this provider. Concurrency bounds all calls to the
	// provider from this worker together, whatever their model; 0 is unbounded.
	Concurrency  int
	Limits       provider.Limits
	Retries      Retries
	Breaker      Breaker // zero fields take Config.Breaker's
	StreamAlways bool

	// Identity changes when Provider was built from other settings: a Reload keeps
	// the discovered models and the breakers of a provider whose name and
	// identity are as before.
	Identity string
}

// Breaker says when a target is left alone for a while.
type Breaker struct {
	Failures int           // in a row; 5 if zero, negative turns the breaker off
	Cooldown time.Duration // before one call probes the target again; 10 s if zero
}

// withDefaults returns c with every zero field that has a default filled in.
func (c Config) withDefaults() Config {
	c.Pool = orElse(c.Pool, "default")
	c.Slots = orElse(c.Slots, 64)
	c.DiscoveryWait = orElse(c.DiscoveryWait, 5*time.Second)
	c.Breaker.Failures = orElse(c.Breaker.Failures, 5)
	c.Breaker.Cooldown = orElse(c.Breaker.Cooldown, 10*time.Second)
	c.Providers = slices.Clone(c.Providers)
	for i := range c.Providers {
		p := &c.Providers[i]
		p.Refresh = orElse(p.Refresh, 5*time.Minute)
		p.Retries = p.Retries.withDefaults(Retries{})
		p.Breaker.Failures = orElse(p.Breaker.Failures, c.Breaker.Failures)
		p.Breaker.Cooldown = orElse(p.Breaker.Cooldown, c.Breaker.Cooldown)
	}
	return c
}

// withDefaults fills the zero fields of r from d, then from the built-in values.
func (r Retries) withDefaults(d Retries) Retries {
	r.Attempts = orElse(orElse(r.Attempts, d.Attempts), 3)
	r.Base = orElse(orElse(r.Base, d.Base), 500*time.Millisecond)
	r.Max = orElse(orElse(r.Max, d.Max), 15*time.Second)
	return r
}

// validate reports every fault of c that would make the worker misbehave. The
// configuration package says the same earlier, with file and line.
func (c Config) validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Slots < 1 {
		fault("slots is %d, not at least 1", c.Slots)
	}
	if c.Reserved < 0 || c.Reserved >= max(c.Slots, 1) {
		fault("reserved is %d, not below slots (%d)", c.Reserved, c.Slots)
	}
	providers := make(map[string]bool, len(c.Providers))
	for _, p := range c.Providers {
		switch {
		case p.Name == "" || p.Provider == nil:
			fault("a provider lacks a name or an implementation")
		case providers[p.Name]:
			fault("provider %q is there twice", p.Name)
		}
		providers[p.Name] = true
	}
	models := make(map[string]bool, len(c.Models))
	for _, m := range c.Models {
		if !m.in(c.Pool) {
			continue
		}
		switch {
		case strings.TrimSpace(m.Name) == "":
			fault("a model lacks a name")
		case models[m.Name]:
			fault("model %q is there twice", m.Name)
		case len(m.Targets) == 0:
			fault("model %q has no targets", m.Name)
		}
		models[m.Name] = true
		for _, t := range m.Targets {
			if !providers[t.Provider] {
				fault("model %q: there is no provider %q", m.Name, t.Provider)
			}
			if t.Weight < 0 || t.Concurrency < 0 {
				fault("model %q: weight and concurrency of target %q must not be negative", m.Name, t.Provider)
			}
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("worker configuration: %w", errors.Join(errs...))
	}
	return nil
}

// in reports whether workers of pool serve m.
func (m *Model) in(pool string) bool { return m.Pool == "" || m.Pool == pool }

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
