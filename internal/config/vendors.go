package config

import (
	"net"
	"reflect"
	"strings"
)

// addVendors makes providers from the variables that the vendors' own SDKs read,
// so that a laptop needs no file.
func (d *decoder) addVendors(cfg *Config) {
	add := func(name, kind, base, source string, key Secret) {
		p := Provider{}
		setDefaults(reflect.ValueOf(&p).Elem())
		p.Kind, p.BaseURL, p.Key = kind, URL(base), key
		if base != "" {
			if bad := checkURL(base, "http", "https"); bad != nil {
				d.faults = append(d.faults, bad.at(origin{source: source}, "providers."+name+".base_url"))
			}
		}
		if cfg.Providers == nil {
			cfg.Providers = map[string]Provider{}
		}
		cfg.Providers[name] = p
		d.origins["providers."+name] = origin{source: source}
	}
	env := func(name string) string { return strings.TrimSpace(d.environ[name]) }
	for _, v := range []struct{ name, key, base string }{
		{"openai", "OPENAI_API_KEY", "OPENAI_BASE_URL"},
		{"anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"},
	} {
		switch key, base := env(v.key), env(v.base); {
		case base != "":
			add(v.name, v.name, base, v.base, Secret(key))
		case key != "":
			add(v.name, v.name, "", v.key, Secret(key))
		}
	}
	if host := env("OLLAMA_HOST"); host != "" {
		add("ollama", "openai", ollamaURL(host), "OLLAMA_HOST", "")
	}
}

// ollamaURL reads OLLAMA_HOST as Ollama does: a URL, host:port, a host or :port.
// An address to listen on everywhere is reached on this machine.
func ollamaURL(host string) string {
	scheme, rest, ok := strings.Cut(host, "://")
	if !ok {
		scheme, rest = "http", strings.TrimPrefix(host, "//")
	}
	if scheme == "" {
		scheme = "http"
	}
	address, path, _ := strings.Cut(rest, "/")
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		name, port = strings.Trim(address, "[]"), "11434"
		if ok && scheme == "https" {
			port = "443"
		} else if ok && scheme == "http" {
			port = "80"
		}
	}
	if name == "" || name == "0.0.0.0" || name == "::" {
		name = "127.0.0.1"
	}
	path = strings.Trim(path, "/")
	if path != "v1" && !strings.HasSuffix(path, "/v1") {
		path = strings.TrimPrefix(path+"/v1", "/")
	}
	return scheme + "://" + net.JoinHostPort(name, port) + "/" + path
}
