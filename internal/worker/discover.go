package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/osiris/osiris/internal/provider"
)

// discovery keeps asking the providers what they serve. A provider that is away
// keeps the list it gave last; one that never gave any is asked again soon.
type discovery struct {
	log     *slog.Logger
	changed func() // called without mu after lists or unanswered changed

	mu    sync.Mutex
	known map[string]*answered // by ProviderSpec.Name

	running sync.WaitGroup
	cancel  context.CancelFunc // of the running round of askers; nil before the first
}

// answered is the state of one provider's list.
type answered struct {
	identity string
	prefix   string
	done     bool // answered at least once
	models   []provider.Model
}

const (
	askTimeout  = 30 * time.Second // of one question
	firstRepeat = time.Second      // after a question that failed, doubled up to the refresh interval or lastRepeat
	lastRepeat  = time.Minute
)

// start asks the providers of specs from now on, in place of those before. What
// providers of the same name and identity said stays. It returns at once; ctx
// ends all asking.
func (d *discovery) start(ctx context.Context, specs []ProviderSpec) {
	if d.cancel != nil {
		d.cancel()
	}
	ctx, d.cancel = context.WithCancel(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.known
	d.known = make(map[string]*answered)
	for i := range specs {
		p := specs[i]
		if !p.Discover {
			continue
		}
		a := before[p.Name]
		if a == nil || a.identity != p.Identity {
			a = &answered{identity: p.Identity, prefix: p.Prefix}
		}
		d.known[p.Name] = a
		d.running.Go(func() { d.ask(ctx, &p, a) })
	}
}

// stop ends all asking and waits for it.
func (d *discovery) stop() {
	if d.cancel != nil {
		d.cancel()
	}
	d.running.Wait()
}

// lists returns what is known, and whether a provider never answered.
func (d *discovery) lists() (found listing, unanswered bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found = make(listing, len(d.known))
	for name, a := range d.known {
		found[name] = a.models
		unanswered = unanswered || !a.done
	}
	return found, unanswered
}

// silent returns the prefixes of providers that never answered.
func (d *discovery) silent() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var prefixes []string
	for _, a := range d.known {
		if !a.done && a.prefix != "" {
			prefixes = append(prefixes, a.prefix)
		}
	}
	slices.Sort(prefixes)
	return prefixes
}

// ask asks one provider again and again, until ctx ends.
func (d *discovery) ask(ctx context.Context, p *ProviderSpec, a *answered) {
	repeat, away, dropped := firstRepeat, false, 0
	for {
		models, err := once(ctx, p)
		if ctx.Err() != nil {
			return
		}
		wait := p.Refresh
		switch {
		case err != nil:
			if !away {
				d.log.Warn("model list not available, keeping the one before", "provider", p.Name, "error", err)
			}
			away, wait = true, min(repeat, p.Refresh)
			repeat = min(repeat*2, lastRepeat)
		default:
			if away {
				d.log.Info("model list available again", "provider", p.Name, "models", len(models))
			}
			repeat, away = firstRepeat, false
			before := dropped
			if models, dropped = usable(models); dropped > before {
				d.log.Warn("listed models left out: their names are too long or have control characters, or they are too many", "provider", p.Name, "models", dropped)
			}
			d.mu.Lock()
			a.models, a.done = models, true
			d.mu.Unlock()
			d.changed()
		}
		// Workers that started together need not ask together.
		wait -= time.Duration(rand.Int64N(int64(wait)/10 + 1))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func once(ctx context.Context, p *ProviderSpec) ([]provider.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return p.Provider.Models(ctx)
}
