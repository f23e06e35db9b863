package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Program is who reads the configuration.
type Program uint8

// The programs. A frontend needs no provider keys: variables that are unset below
// providers and models are no faults for it.
const (
	All Program = iota
	FrontendOnly
	WorkerOnly
)

// Override is a value that a flag gives to a setting.
type Override struct {
	Path   string // such as nats.url
	Text   string
	Source string // such as --nats-url
}

// Options is what Load reads.
type Options struct {
	Program   Program
	File      string   // the YAML file; "" for the one in OSIRIS_CONFIG, or none
	Environ   []string // as os.Environ returns it
	Overrides []Override
}

// DefaultConfig is a configuration in which nothing was set.
func DefaultConfig() *Config {
	cfg := &Config{}
	setDefaults(reflect.ValueOf(cfg).Elem())
	return cfg
}

// Load reads the file, the environment and the overrides, each stronger than the
// one before, and verifies the whole. A non-nil error is Faults: all of them.
func Load(o Options) (*Config, error) {
	environ := environMap(o.Environ)
	file := o.File
	if file == "" {
		file = environ["OSIRIS_CONFIG"]
	}
	d := &decoder{
		file: file, environ: environ, keyless: o.Program == FrontendOnly,
		anchors: map[string]ast.Node{}, origins: map[string]origin{},
	}
	cfg := DefaultConfig()
	cfg.File = file
	if file != "" {
		cfg.seen = stampOf(file)
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, Faults{readFault(file, err)}
		}
		d.decode(data, cfg)
	}
	if _, named := d.origins["providers"]; !named {
		d.addVendors(cfg)
	}
	d.applyEnviron(cfg)
	for _, flag := range o.Overrides {
		d.override(cfg, flag)
	}
	d.finish(cfg)
	if len(d.faults) > 0 {
		return nil, d.faults.sorted()
	}
	return cfg, nil
}

func readFault(file string, err error) Fault {
	f := Fault{Source: file, Problem: err.Error(), Remedy: "check the path and its permissions"}
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		f.Problem = fmt.Sprintf("cannot be read: %v", pathErr.Err)
	}
	return f
}

// finish verifies what spans several settings and fills in what depends on others.
func (d *decoder) finish(cfg *Config) {
	cfg.BootstrapKey = Secret(d.environ["OSIRIS_BOOTSTRAP_KEY"])
	if strings.ContainsAny(string(cfg.BootstrapKey), " \t\r\n") {
		d.faults = append(d.faults, Fault{
			Source: "OSIRIS_BOOTSTRAP_KEY", Problem: "has a blank in it", Remedy: "use a key without blanks",
		})
	}
	if n := len(cfg.BootstrapKey); n > 0 && n < 16 {
		cfg.Warnings = append(cfg.Warnings, "OSIRIS_BOOTSTRAP_KEY is short: whoever guesses it can use this server")
	}
	_, cfg.AdminSet = d.origins["admin_listen"]
	if cfg.Listen == "off" {
		d.faultAt("listen", &problem{"cannot be off", "write host:port, such as 127.0.0.1:8080"})
	}
	d.checkNATS(cfg)
	d.checkWorker(cfg)
	d.checkProviders(cfg)
	d.checkModels(cfg)
}

// faultAt reports a problem where path was set, or its nearest parent.
func (d *decoder) faultAt(path string, p *problem) {
	for at := path; ; {
		if o, ok := d.origins[at]; ok {
			d.faults = append(d.faults, p.at(o, path))
			return
		}
		cut := strings.LastIndexAny(at, ".[")
		if cut < 0 {
			break
		}
		at = at[:cut]
	}
	source := d.file
	if source == "" {
		source = "environment"
	}
	d.faults = append(d.faults, p.at(origin{source: source}, path))
}

func environMap(environ []string) map[string]string {
	m := make(map[string]string, len(environ))
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			m[name] = value
		}
	}
	return m
}
