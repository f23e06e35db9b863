package worker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/jobs"
)

func testCatalogue(t *testing.T, cfg Config, found listing) *catalogue {
	t.Helper()
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		t.Fatal(err)
	}
	return newCatalogue(&cfg, found, newGate())
}

func testSpecs() []ProviderSpec {
	return []ProviderSpec{
		{Name: "openai", Prefix: "openai/", Provider: &scripted{}, Discover: true},
		{Name: "ollama", Prefix: "ollama/", Provider: &scripted{}, Discover: true},
		{Name: "special", Prefix: "openai/special/", Provider: &scripted{}},
		{Name: "echo", Prefix: "echo?", KeepPrefix: true, Provider: &scripted{}},
	}
}

func TestCatalogueLookup(t *testing.T) {
	c := testCatalogue(t, Config{
		Pool:      "gpu",
		Providers: testSpecs(),
		Models: []Model{
			{Name: "echo", Targets: []Target{{Provider: "echo"}}},
			{Name: "fast", Targets: []Target{{Provider: "openai", Model: "gpt-x"}, {Provider: "ollama", Model: "llama"}}},
			{Name: "both", Targets: []Target{{Provider: "ollama", Model: "configured"}}},
			{Name: "elsewhere", Pool: "cpu", Targets: []Target{{Provider: "nobody"}}},
			{Name: "here", Pool: "gpu", Targets: []Target{{Provider: "openai"}}},
		},
	}, listing{
		"openai": {{ID: "both"}, {ID: "gpt-x"}, {ID: "shared"}, {ID: "ollama/odd"}},
		"ollama": {{ID: "shared"}, {ID: "llama"}, {ID: ""}},
	})
	for name, want := range map[string]string{ // providers and their names for the model
		"echo":              "echo:echo",
		"fast":              "openai:gpt-x ollama:llama",
		"both":              "ollama:configured",
		"here":              "openai:here",
		"gpt-x":             "openai:gpt-x",
		"shared":            "openai:shared",
		"llama":             "ollama:llama",
		"ollama/odd":        "openai:ollama/odd",
		"ollama/shared":     "ollama:shared",
		"openai/any/thing":  "openai:any/thing",
		"openai/special/a":  "special:a",
		"echo?delay=1s&n=3": "echo:echo?delay=1s&n=3",
		"openai/":           "",
		"elsewhere":         "",
		"unknown":           "",
		"":                  "",
	} {
		var got []string
		if e := c.lookup(name); e != nil {
			for _, target := range e.targets {
				got = append(got, target.provider+":"+target.model)
			}
			c.release(e)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q goes to %q, not %q", name, s, want)
		}
	}
}

func TestCataloguePublishes(t *testing.T) {
	c := testCatalogue(t, Config{
		Providers: testSpecs(),
		Models: []Model{
			{Name: "zeta", OwnedBy: "me", Targets: []Target{{Provider: "openai"}}},
			{Name: "both", Targets: []Target{{Provider: "ollama"}}},
		},
	}, listing{
		"openai": {{ID: "both", OwnedBy: "system", Created: 3}, {ID: "alpha", OwnedBy: "system", Created: 4}},
		"ollama": {{ID: "alpha", OwnedBy: "library", Created: 5}, {ID: "beta"}},
	})
	got := c.published()
	want := []jobs.Model{
		{ID: "alpha", OwnedBy: "system", Created: 4},
		{ID: "beta", OwnedBy: "ollama"},
		{ID: "both", OwnedBy: "ollama"},
		{ID: "zeta", OwnedBy: "me"},
	}
	if got.Pool != "default" || !slices.Equal(got.Models, want) {
		t.Errorf("pool %q publishes %v, not %v", got.Pool, got.Models, want)
	}
	if prefixes := []string{"echo?", "ollama/", "openai/", "openai/special/"}; !slices.Equal(got.Prefixes, prefixes) {
		t.Errorf("prefixes are %v", got.Prefixes)
	}
}

// TestCatalogueKeepsWhatIsKnown: what was learned about a target outlives a new
// snapshot, unless the provider is another one by then.
func TestCatalogueKeepsWhatIsKnown(t *testing.T) {
	g := newGate()
	build := func(identity string, models ...Model) *catalogue {
		cfg := Config{Providers: []ProviderSpec{{Name: "p", Identity: identity, Provider: &scripted{}}}, Models: models}.withDefaults()
		return newCatalogue(&cfg, nil, g)
	}
	m := Model{Name: "m", Targets: []Target{{Provider: "p"}}}
	before := build("one", m).lookup("m").targets[0].condition
	before.breaker.failures = 3
	if after := build("one", m).lookup("m").targets[0].condition; after != before {
		t.Error("a reload forgot a target")
	}
	if after := build("two", m).lookup("m").targets[0].condition; after == before {
		t.Error("another server inherited what was known of the one before")
	}
	before.breaker = breaker{}
	if build("two"); len(g.targets) > 1 {
		t.Errorf("%d targets are remembered of none", len(g.targets))
	}
}

func TestTargetTakesDefaults(t *testing.T) {
	c := testCatalogue(t, Config{
		Breaker: Breaker{Failures: 9},
		Providers: []ProviderSpec{{
			Name: "p", Provider: &scripted{}, Retries: Retries{Attempts: 7},
			Limits: provider.Limits{Connect: 1, Idle: 2}, Breaker: Breaker{Cooldown: time.Minute},
		}},
		Models: []Model{{
			Name: "m", Retries: Retries{Base: time.Millisecond},
			Targets: []Target{{Provider: "p", Limits: provider.Limits{Idle: 5}}},
		}},
	}, nil)
	got := c.lookup("m").targets[0]
	if want := (provider.Limits{Connect: 1, Idle: 5}); got.limits != want {
		t.Errorf("limits are %+v", got.limits)
	}
	if want := (Retries{Attempts: 7, Base: time.Millisecond, Max: 15 * time.Second}); got.retries != want {
		t.Errorf("retries are %+v", got.retries)
	}
	if want := (Breaker{Failures: 9, Cooldown: time.Minute}); got.breaker != want {
		t.Errorf("breaker is %+v", got.breaker)
	}
}

func TestConfigValidate(t *testing.T) {
	good := Config{
		Providers: []ProviderSpec{{Name: "p", Provider: &scripted{}}},
		Models:    []Model{{Name: "m", Targets: []Target{{Provider: "p"}}}},
	}
	for name, test := range map[string]struct {
		spoil func(c *Config)
		want  string
	}{
		"good":                {func(*Config) {}, ""},
		"slots":               {func(c *Config) { c.Slots = -1 }, "slots is -1"},
		"reserved":            {func(c *Config) { c.Slots, c.Reserved = 2, 2 }, "reserved is 2"},
		"no implementation":   {func(c *Config) { c.Providers = []ProviderSpec{{Name: "p"}} }, "implementation"},
		"provider twice":      {func(c *Config) { c.Providers = append(c.Providers, c.Providers[0]) }, "provider \"p\" is there twice"},
		"model twice":         {func(c *Config) { c.Models = append(c.Models, c.Models[0]) }, "model \"m\" is there twice"},
		"no targets":          {func(c *Config) { c.Models = []Model{{Name: "x"}} }, "no targets"},
		"no name":             {func(c *Config) { c.Models = []Model{{Name: " "}} }, "lacks a name"},
		"unknown provider":    {func(c *Config) { c.Models = []Model{{Name: "x", Targets: []Target{{Provider: "q"}}}} }, "no provider \"q\""},
		"negative":            {func(c *Config) { c.Models = []Model{{Name: "x", Targets: []Target{{Provider: "p", Weight: -1}}}} }, "negative"},
		"another pool's":      {func(c *Config) { c.Models = append(c.Models, Model{Name: "x", Pool: "other"}) }, ""},
		"every fault at once": {func(c *Config) { c.Slots = -1; c.Models = []Model{{Name: "x"}} }, "no targets"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			c.Providers, c.Models = slices.Clone(c.Providers), slices.Clone(c.Models)
			test.spoil(&c)
			switch err := c.withDefaults().validate(); {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error is %v, without %q", err, test.want)
			}
		})
	}
}
