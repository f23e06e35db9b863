package workerpart

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/anthropic"
	"github.com/osiris/osiris/internal/provider/echo"
	"github.com/osiris/osiris/internal/provider/openai"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/internal/worker"
)

// workerConfig builds what a worker serves: its providers and its models. The
// adapters share client.
func workerConfig(cfg *config.Config, client *upstream.Client) (worker.Config, error) {
	b := builder{cfg: cfg, client: client}
	out := worker.Config{
		Pool: cfg.Worker.Pool, Slots: cfg.Worker.Slots, Reserved: reserved(cfg.Worker),
		Breaker: worker.Breaker{Failures: cfg.Worker.Breaker.Failures, Cooldown: cfg.Worker.Breaker.Cooldown},
	}
	if out.Breaker.Failures == 0 {
		out.Breaker.Failures = -1 // off
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Providers)) {
		if err := b.addProvider(name, cfg.Providers[name]); err != nil {
			return out, err
		}
	}
	if _, named := cfg.Providers["echo"]; cfg.Echo && !named {
		spec := echoSpec("echo")
		spec.Hidden = len(cfg.Providers) > 0 || len(cfg.Models) > 0 // beside real models it is for tests
		b.specs = append(b.specs, spec)
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Models)) {
		m, err := b.model(name, cfg.Models[name])
		if err != nil {
			return out, err
		}
		out.Models = append(out.Models, m)
	}
	out.Providers = b.specs
	return out, nil
}

// reserved is an eighth of the slots unless it was chosen; a single slot has none to
// spare.
func reserved(w config.Worker) int {
	if w.Reserved > 0 {
		return w.Reserved
	}
	return w.Slots / 8
}

type builder struct {
	cfg    *config.Config
	client *upstream.Client
	specs  []worker.ProviderSpec
}

func (b *builder) addProvider(name string, p config.Provider) error {
	if p.Kind == "echo" {
		b.specs = append(b.specs, echoSpec(name))
		return nil
	}
	spec, err := b.spec(name, p)
	if err != nil {
		return err
	}
	if p.Discover.Enabled && (p.Pool == "" || p.Pool == b.cfg.Worker.Pool) {
		spec.Discover, spec.Prefix = true, name+"/"
	}
	b.specs = append(b.specs, spec)
	return nil
}

// echoSpec lets echo's errors reach the client as they are: they were asked for.
func echoSpec(name string) worker.ProviderSpec {
	return worker.ProviderSpec{
		Name: name, Prefix: "echo?", KeepPrefix: true, Provider: echo.New(), Discover: true, Identity: "echo",
		Retries: worker.Retries{Attempts: 1}, Breaker: worker.Breaker{Failures: -1},
	}
}

// spec builds the adapter of p.
func (b *builder) spec(name string, p config.Provider) (worker.ProviderSpec, error) {
	adapter, err := b.adapter(p)
	if err != nil {
		return worker.ProviderSpec{}, fmt.Errorf("providers.%s: %w", name, err)
	}
	return worker.ProviderSpec{
		Name: name, Provider: adapter, Refresh: p.Discover.Refresh,
		Concurrency: p.Concurrency, StreamAlways: p.StreamAlways, Identity: identity(p),
		Limits: provider.Limits{
			Connect: p.Timeouts.Connect, FirstToken: p.Timeouts.FirstToken, Idle: p.Timeouts.Idle, Total: p.Timeouts.Total,
		},
		Retries: worker.Retries{Attempts: p.Retries.Attempts, Base: p.Retries.Base, Max: p.Retries.Max},
	}, nil
}

func (b *builder) adapter(p config.Provider) (provider.Provider, error) {
	header := make(http.Header, len(p.Headers))
	for name, value := range p.Headers {
		header.Set(name, value.Reveal())
	}
	if p.Kind == "anthropic" {
		return anthropic.New(anthropic.Config{
			BaseURL: p.BaseURL.Reveal(), Key: p.Key.Reveal(), KeyHeader: p.KeyHeader, Header: header, OmitThinking: p.OmitThinking,
		}, b.client)
	}
	query := make(map[string]string, len(p.Query))
	for name, value := range p.Query {
		query[name] = value.Reveal()
	}
	return openai.New(openai.Config{
		BaseURL: p.BaseURL.Reveal(), Key: p.Key.Reveal(), KeyHeader: p.KeyHeader, Header: header, Query: query,
		Path: p.Path, ModelsPath: p.ModelsPath, TokensField: p.TokensField, NoDeveloper: p.NoDeveloper,
		NoStreamOptions: p.NoStreamOptions, KeepStore: p.KeepStore,
	}, b.client)
}

// identity changes with everything that an adapter is built from. It is a hash, so
// that no key is kept in a place that may be printed.
func identity(p config.Provider) string {
	h := fnv.New128a()
	fmt.Fprintf(h, "%q %q %q %q %q %q %q %t %t %t %t", p.Kind, p.BaseURL.Reveal(), p.Key.Reveal(), p.KeyHeader,
		p.Path, p.ModelsPath, p.TokensField, p.NoDeveloper, p.NoStreamOptions, p.KeepStore, p.OmitThinking)
	for _, values := range []map[string]config.Secret{p.Headers, p.Query} {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			fmt.Fprintf(h, " %q=%q", name, values[name].Reveal())
		}
		fmt.Fprint(h, ";")
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (b *builder) model(name string, m config.Model) (worker.Model, error) {
	out := worker.Model{
		Name: name, Pool: m.Pool, OwnedBy: m.OwnedBy, MaxTokens: m.MaxTokens,
		Retries: worker.Retries{Attempts: m.Retries.Attempts, Base: m.Retries.Base, Max: m.Retries.Max},
	}
	profile := provider.Profile{
		Sampling: m.Capabilities.Sampling, Thinking: m.Capabilities.Thinking,
		StructuredOutput: m.Capabilities.StructuredOutput, MaxOutput: m.Capabilities.MaxOutput,
	}
	for i, t := range m.Targets {
		target, err := b.target(fmt.Sprintf("models.%s.targets[%d]", name, i), t)
		if err != nil {
			return out, err
		}
		target.Profile = profile
		out.Targets = append(out.Targets, target)
	}
	if out.OwnedBy == "" && len(m.Targets) > 0 {
		out.OwnedBy = m.Targets[0].Provider
	}
	return out, nil
}

// target names its provider, or an adapter of its own where it has its own address
// or key.
func (b *builder) target(at string, t config.Target) (worker.Target, error) {
	p := b.cfg.Providers[t.Provider]
	out := worker.Target{
		Provider: t.Provider, Model: t.Model, Weight: t.Weight, StreamAlways: orElse(t.StreamAlways, p.StreamAlways),
		Limits: provider.Limits{
			Connect: t.Timeouts.Connect, FirstToken: t.Timeouts.FirstToken, Idle: t.Timeouts.Idle, Total: t.Timeouts.Total,
		},
		Concurrency: t.Concurrency,
	}
	if t.BaseURL == "" && t.Key == "" {
		return out, nil
	}
	if t.BaseURL != "" {
		if host(t.BaseURL) != host(p.BaseURL) { // secrets stay with the server they were given for
			p.Key, p.Headers, p.Query = "", nil, nil
		}
		p.BaseURL = t.BaseURL
	}
	if t.Key != "" {
		p.Key = t.Key
	}
	spec, err := b.spec(t.Provider+" of "+at, p)
	if err != nil {
		return out, err
	}
	out.Provider = spec.Name
	b.specs = append(b.specs, spec)
	return out, nil
}

func orElse[T any](value *T, fallback T) T {
	if value != nil {
		return *value
	}
	return fallback
}

func host(u config.URL) string {
	parsed, err := url.Parse(u.Reveal())
	if err != nil {
		return ""
	}
	return parsed.Host
}
