package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

func (d *decoder) checkNATS(cfg *Config) {
	n := &cfg.NATS
	together := func(a, b string, aSet, bSet bool) {
		if aSet && bSet {
			d.faultAt("nats."+a, &problem{"cannot be used together with nats." + b, "keep one of them"})
		}
	}
	together("credentials", "nkey", n.Credentials != "", n.NKey != "")
	together("credentials", "token", n.Credentials != "", n.Token != "")
	together("user", "token", n.User != "", n.Token != "")
	if n.Password != "" && n.User == "" {
		d.faultAt("nats.password", &problem{"has no user", "set nats.user too"})
	}
	if (n.TLS.Cert == "") != (n.TLS.Key == "") {
		d.faultAt("nats.tls", &problem{"cert and key belong together", "set both or none"})
	}
	if n.Replicas == 2 || n.Replicas == 4 {
		d.faultAt("nats.replicas", &problem{"an even number survives no more failures than one less", "use 1, 3 or 5"})
	}
	if cfg.Frontend.BackgroundTimeout > cfg.Keep.Results {
		d.faultAt("frontend.background_timeout", &problem{"is longer than what comes of a request is kept", "raise keep.results, or lower it"})
	}
	for _, w := range cfg.Batches.WindowList() {
		if window(w)+cfg.Batches.Drain+resultsMargin > cfg.Keep.Results {
			d.faultAt("batches.windows", &problem{
				w + " and the time to end a batch are longer than the results of lines are kept",
				"raise keep.results, or leave the window out",
			})
		}
	}
	// JetStream reserves what its streams may hold.
	if need := 3*cfg.Queue.MaxBytes + cfg.Keep.EventsBytes + 3<<30; need > cfg.Embedded.MaxStore && n.URL == "" {
		at := "embedded.max_store"
		if _, set := d.origins[at]; !set {
			at = "queue.max_bytes"
		}
		d.faultAt(at, &problem{
			fmt.Sprintf("a store of %v cannot hold three classes of %v, %v of events and 3GiB of the rest",
				cfg.Embedded.MaxStore, cfg.Queue.MaxBytes, cfg.Keep.EventsBytes),
			"raise embedded.max_store, or lower queue.max_bytes",
		})
	}
}

// resultsMargin is how much longer than the window of its batch the result of a line
// must be there: files are made of results once all of them are.
const resultsMargin = time.Hour

func (d *decoder) checkWorker(cfg *Config) {
	w := &cfg.Worker
	if w.Reserved >= w.Slots && w.Reserved > 0 {
		d.faultAt("worker.reserved", &problem{
			fmt.Sprintf("%d of %d slots leaves none for other jobs", w.Reserved, w.Slots), "keep it below worker.slots",
		})
	}
}

func (d *decoder) checkProviders(cfg *Config) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Providers)) {
		p, at := cfg.Providers[name], join("providers", name)
		if bad := checkName(name); bad != nil {
			d.faultAt(at, bad)
		}
		if p.Kind == "" && !d.faultyBelow(at+".kind") {
			d.faultAt(at, &problem{"has no kind", "add kind: openai (for every compatible server), anthropic or echo"})
		}
		p.Key = d.key(at, p.Key, p.KeyEnv)
		d.checkHeaders(at, p.Headers)
		t := p.Timeouts
		if t.Total > 0 && (t.FirstToken > t.Total || t.Idle > t.Total) {
			d.faultAt(at+".timeouts", &problem{"total is shorter than first_token or idle", "raise total, or lower the others"})
		}
		cfg.Providers[name] = p
	}
}

// key resolves key_env and says so when both are there.
func (d *decoder) key(at string, key Secret, variable string) Secret {
	switch {
	case variable == "":
		return key
	case key != "":
		d.faultAt(at+".key_env", &problem{"key is set as well", "keep one of them"})
	case d.environ[variable] != "":
		return Secret(strings.TrimSpace(d.environ[variable]))
	case !d.keyless && isVariable(variable):
		d.faultAt(at+".key_env", unsetVariable(variable))
	}
	return key
}

func (d *decoder) checkHeaders(at string, headers map[string]Secret) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if strings.ContainsFunc(headers[name].Reveal(), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			d.faultAt(join(at+".headers", name), &problem{"has a control character in its value", "remove line ends from it"})
		}
	}
}

func (d *decoder) checkModels(cfg *Config) {
	providers := slices.Sorted(maps.Keys(cfg.Providers))
	if cfg.Echo && !slices.Contains(providers, "echo") {
		providers = append(providers, "echo")
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Models)) {
		m, at := cfg.Models[name], join("models", name)
		if len(m.Targets) == 0 && !d.faultyBelow(at+".targets") {
			d.faultAt(at, &problem{"has no targets", "add targets: with at least one - provider: NAME"})
		}
		for i := range m.Targets {
			d.checkTarget(&m.Targets[i], fmt.Sprintf("%s.targets[%d]", at, i), providers)
		}
		if m.Retries.Max > 0 && m.Retries.Base > m.Retries.Max {
			d.faultAt(at+".retries.base", &problem{"is longer than retries.max", "lower it, or raise max"})
		}
	}
}

func (d *decoder) checkTarget(t *Target, at string, providers []string) {
	switch {
	case t.Provider == "" && !d.faultyBelow(at+".provider"):
		d.faultAt(at, &problem{"has no provider", "add provider: and the name of an entry of providers"})
	case t.Provider != "" && !slices.Contains(providers, t.Provider):
		remedy := didYouMean(t.Provider, providers)
		if len(providers) == 0 {
			remedy = "declare it below providers"
		}
		d.faultAt(at+".provider", &problem{fmt.Sprintf("there is no provider %q", t.Provider), remedy})
	}
	t.Key = d.key(at, t.Key, t.KeyEnv)
}

// faultyBelow tells whether a path has a fault already, so that it is said once.
func (d *decoder) faultyBelow(path string) bool {
	return slices.ContainsFunc(d.faults, func(f Fault) bool { return strings.HasPrefix(f.Field, path) })
}
