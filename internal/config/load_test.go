package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, yaml string, environ ...string) *Config {
	t.Helper()
	o := Options{Environ: environ}
	if yaml != "" {
		o.File = filepath.Join(t.TempDir(), "osiris.yaml")
		if err := os.WriteFile(o.File, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestDefaults holds that every default in a tag is a value its own checks accept.
func TestDefaults(t *testing.T) {
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		for f := range typ.Fields() {
			switch {
			case f.Tag.Get("yaml") == "-":
			case isScalar(f.Type):
				text, ok := f.Tag.Lookup("default")
				if !ok || text == "" {
					continue
				}
				if p := setScalar(reflect.New(f.Type).Elem(), f.Tag, text); p != nil {
					t.Errorf("%s.%s: %s", typ.Name(), f.Name, p.what)
				}
			case f.Type.Kind() == reflect.Struct:
				visit(f.Type)
			case f.Type.Elem().Kind() == reflect.Struct:
				visit(f.Type.Elem())
			}
		}
	}
	visit(reflect.TypeFor[Config]())
	cfg := load(t, "")
	if cfg.Frontend.MaxBody != 64e6 || cfg.Frontend.KeepAlive != 15*time.Second || cfg.Worker.Slots != 4096 || !cfg.Echo {
		t.Errorf("defaults: %+v", cfg)
	}
}

func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		name    string
		environ []string
		get     func(*Config) any
		want    any
	}{
		{"text", []string{"OSIRIS_NAMESPACE=two"}, func(c *Config) any { return c.Namespace }, "two"},
		{"nested", []string{"OSIRIS_NATS_TLS_CA=/dev/null"}, func(c *Config) any { return c.NATS.TLS.CA }, "/dev/null"},
		{"size", []string{"OSIRIS_FRONTEND_MAX_BODY=20MiB"}, func(c *Config) any { return c.Frontend.MaxBody }, Size(20 << 20)},
		{"duration", []string{"OSIRIS_FRONTEND_REQUEST_TIMEOUT=90s"}, func(c *Config) any { return c.Frontend.RequestTimeout }, 90 * time.Second},
		{"bool", []string{"OSIRIS_ECHO=off"}, func(c *Config) any { return c.Echo }, false},
		{"number", []string{"OSIRIS_WORKER_SLOTS=7"}, func(c *Config) any { return c.Worker.Slots }, 7},
		{"empty is unset", []string{"OSIRIS_WORKER_SLOTS="}, func(c *Config) any { return c.Worker.Slots }, 4096},
		{"openai", []string{"OPENAI_API_KEY=k"}, provider("openai"), "openai  k"},
		{"openai elsewhere", []string{"OPENAI_API_KEY=k", "OPENAI_BASE_URL=http://h/v1"}, provider("openai"), "openai http://h/v1 k"},
		{"openai without a key", []string{"OPENAI_BASE_URL=http://h/v1"}, provider("openai"), "openai http://h/v1 "},
		{"anthropic", []string{"ANTHROPIC_API_KEY=k"}, provider("anthropic"), "anthropic  k"},
		{"anthropic elsewhere", []string{"ANTHROPIC_API_KEY=k", "ANTHROPIC_BASE_URL=http://h"}, provider("anthropic"), "anthropic http://h k"},
		{"ollama host", []string{"OLLAMA_HOST=box"}, provider("ollama"), "openai http://box:11434/v1 "},
		{"ollama host and port", []string{"OLLAMA_HOST=127.0.0.1:1234"}, provider("ollama"), "openai http://127.0.0.1:1234/v1 "},
		{"ollama port", []string{"OLLAMA_HOST=:1234"}, provider("ollama"), "openai http://127.0.0.1:1234/v1 "},
		{"ollama everywhere", []string{"OLLAMA_HOST=0.0.0.0"}, provider("ollama"), "openai http://127.0.0.1:11434/v1 "},
		{"ollama url", []string{"OLLAMA_HOST=https://box/ollama/"}, provider("ollama"), "openai https://box:443/ollama/v1 "},
		{"ollama with v1", []string{"OLLAMA_HOST=http://box:99/v1"}, provider("ollama"), "openai http://box:99/v1 "},
		{"ollama empty scheme", []string{"OLLAMA_HOST=://box:99"}, provider("ollama"), "openai http://box:99/v1 "},
		{"ollama ipv6", []string{"OLLAMA_HOST=[::1]:99"}, provider("ollama"), "openai http://[::1]:99/v1 "},
		{"nothing", nil, func(c *Config) any { return len(c.Providers) }, 0},
		{"bootstrap", []string{"OSIRIS_BOOTSTRAP_KEY=abc"}, func(c *Config) any { return c.BootstrapKey.Reveal() }, "abc"},
		{"short bootstrap", []string{"OSIRIS_BOOTSTRAP_KEY=abc"}, func(c *Config) any { return len(c.Warnings) }, 1},
		{"misspelt", []string{"OSIRIS_WORKER_SLOT=1"}, func(c *Config) any { return c.Warnings },
			[]string{"OSIRIS_WORKER_SLOT is no setting; did you mean OSIRIS_WORKER_SLOTS?"}},
		{"kubernetes service links", []string{"OSIRIS_SERVICE_HOST=10.0.0.1", "OSIRIS_PORT_8080_TCP_ADDR=x"},
			func(c *Config) any { return len(c.Warnings) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.get(load(t, "", c.environ...)); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %#v, want %#v", got, c.want)
			}
		})
	}
}

func provider(name string) func(*Config) any {
	return func(c *Config) any {
		p := c.Providers[name]
		return p.Kind + " " + p.BaseURL.Reveal() + " " + p.Key.Reveal()
	}
}

func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(file, []byte("namespace: file\nworker: {slots: 1, pool: file}\nlisten: \":1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(Options{
		Environ:   []string{"OSIRIS_CONFIG=" + file, "OSIRIS_WORKER_SLOTS=2", "OSIRIS_WORKER_POOL=env"},
		Overrides: []Override{{Path: "worker.slots", Text: "3", Source: "--slots"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Namespace != "file" || cfg.Worker.Pool != "env" || cfg.Worker.Slots != 3 {
		t.Errorf("namespace %s, pool %s, slots %d", cfg.Namespace, cfg.Worker.Pool, cfg.Worker.Slots)
	}
	_, err = Load(Options{
		Environ:   []string{"OSIRIS_WORKER_SLOTS=many", "OSIRIS_LOG_LEVEL=loud"},
		Overrides: []Override{{Path: "listen", Text: "here", Source: "--listen"}},
	})
	for _, want := range []string{"OSIRIS_WORKER_SLOTS: worker.slots:", "OSIRIS_LOG_LEVEL: log.level:", "--listen: listen:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("faults lack %q: %v", want, err)
		}
	}
}

func TestFileReplacesVendorVariables(t *testing.T) {
	cfg := load(t, "providers: {mine: {kind: openai, key: \"${OPENAI_API_KEY}\"}}", "OPENAI_API_KEY=k", "OLLAMA_HOST=box",
		"OSIRIS_PROVIDERS_MINE_CONCURRENCY=5")
	if len(cfg.Providers) != 1 || cfg.Providers["mine"].Key.Reveal() != "k" || cfg.Providers["mine"].Concurrency != 5 {
		t.Errorf("providers: %+v", cfg.Providers)
	}
	if cfg := load(t, "namespace: x", "OLLAMA_HOST=box"); len(cfg.Providers) != 1 {
		t.Errorf("without a providers section: %+v", cfg.Providers)
	}
}

func TestFrontendNeedsNoProviderKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.yaml")
	yaml := "providers: {a: {kind: openai, key: \"${NOT_HERE}\"}, b: {kind: openai, key_env: NOT_HERE}}\nmodels: {m: {targets: [{provider: a, key: \"${NOT_HERE}\"}]}}\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Options{File: file, Program: FrontendOnly}); err != nil {
		t.Errorf("as a frontend: %v", err)
	}
	_, err := Load(Options{File: file, Program: WorkerOnly})
	if faults, ok := err.(Faults); !ok || len(faults) != 3 {
		t.Errorf("as a worker: %v", err)
	}
}

func TestExpand(t *testing.T) {
	environ := map[string]string{"A": "1", "EMPTY": ""}
	for text, want := range map[string]string{
		"x": "x", "${A}": "1", "a${A}b${A}c": "a1b1c", "${B:-two}": "two", "${B:-}": "", "${EMPTY:-x}": "x",
		"$${A}": "${A}", "$A": "$A", "a$${A}${A}": "a${A}1",
	} {
		if got, problems := expand(text, environ); got != want || len(problems) > 0 {
			t.Errorf("%s: %q, %v; want %q", text, got, problems, want)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "12": 12, "1kB": 1000, "1KiB": 1024, "64MB": 64e6, "64mb": 64e6, "8 MiB": 8 << 20, "1.5MB": 1.5e6, "2G": 2e9, "3B": 3,
	} {
		got, err := parseSize(text)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
		if back, err := parseSize(got.String()); err != nil || back != got {
			t.Errorf("%s prints as %s, which reads as %d, %v", text, got, back, err)
		}
	}
	for _, text := range []string{"", "MB", "1XB", "1e99", "9999999999999TB", "1 2", "NaN"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
}

// TestSecretsAreNeverPrinted holds for every way a configuration can be printed.
func TestSecretsAreNeverPrinted(t *testing.T) {
	cfg := load(t, `
nats: {url: "nats://bob:hunter2@h:4222,nats://tok-hunter2@h2", user: u, password: hunter2}
providers:
  a: {kind: openai, key: hunter2, base_url: "http://u:hunter2@h/v1?key=hunter2", headers: {x-key: hunter2}, query: {k: hunter2}}
models:
  m: {targets: [{provider: a, key: hunter2}]}
`, "OSIRIS_BOOTSTRAP_KEY=hunter2-hunter2-hunter2", "OSIRIS_NATS_TOKEN=")
	var logged strings.Builder
	log := slog.New(slog.NewJSONHandler(&logged, nil))
	log.Info("x", "cfg", cfg, "nats", cfg.NATS, "url", cfg.NATS.URL, "key", cfg.BootstrapKey, "providers", cfg.Providers)
	encoded, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"String": cfg.String(), "log": logged.String(), "json": string(encoded),
		"%v": fmt.Sprintf("%v", *cfg), "%+v": fmt.Sprintf("%+v", *cfg), "%#v": fmt.Sprintf("%#v", *cfg),
	} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s prints a secret: %s", name, text)
		}
	}
	if s := cfg.String(); !strings.Contains(s, "providers.a.key: [redacted]") || !strings.Contains(s, "redacted@h:4222") {
		t.Errorf("summary: %s", s)
	}
}

func TestNeedRestart(t *testing.T) {
	a := load(t, "listen: \":1\"\nworker: {slots: 1}\nnats: {password: a, user: u}\n")
	b := load(t, "listen: \":2\"\nworker: {slots: 2}\nnats: {password: b, user: u}\n")
	if got, want := a.NeedRestart(b), []string{"listen", "nats.password"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := a.NeedRestart(a); len(got) > 0 {
		t.Errorf("nothing changed: %v", got)
	}
}

func TestDefaultDataDir(t *testing.T) {
	if dir, err := DefaultDataDir([]string{"XDG_DATA_HOME=/x", "HOME=/h"}); err != nil || dir != filepath.Join("/x", "osiris") {
		t.Errorf("%s, %v", dir, err)
	}
	if dir, err := DefaultDataDir([]string{"HOME=/h"}); err != nil || !strings.HasPrefix(dir, filepath.Clean("/h")) || filepath.Base(dir) != "osiris" {
		t.Errorf("%s, %v", dir, err)
	}
}
