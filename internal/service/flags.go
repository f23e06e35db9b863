package service

import (
	"strconv"

	"github.com/osiris/osiris/internal/config"
)

// CommonFlags are those of every program. Empty ones leave the setting alone.
type CommonFlags struct {
	Config    string `help:"Configuration file (OSIRIS_CONFIG)." placeholder:"FILE" short:"c"`
	NATSURL   string `name:"nats-url" help:"NATS server or servers." placeholder:"URL"`
	NATSCreds string `name:"nats-creds" help:"File with NATS credentials." placeholder:"FILE"`
	NATSCA    string `name:"nats-tls-ca" help:"PEM file of authorities for TLS to NATS." placeholder:"FILE"`
	NATSCert  string `name:"nats-tls-cert" help:"PEM file of the client certificate for NATS." placeholder:"FILE"`
	NATSKey   string `name:"nats-tls-key" help:"PEM file of the client key for NATS." placeholder:"FILE"`
	Namespace string `help:"Begins every name in NATS (osiris)." placeholder:"NAME"`
	LogLevel  string `help:"debug, info, warn or error." placeholder:"LEVEL"`
	LogFormat string `help:"text or json." placeholder:"FORMAT"`
}

// AdminFlags are those of programs that run on.
type AdminFlags struct {
	AdminListen string `help:"Address of health, metrics and profiles (127.0.0.1:8081), or off." placeholder:"ADDR"`
	Healthcheck bool   `help:"Ask the program that runs here whether it is ready, then exit with 0 or 1."`
}

// FrontendFlags are those of programs with a frontend.
type FrontendFlags struct {
	Listen         string `help:"Address of the API (127.0.0.1:8080)." placeholder:"ADDR"`
	AllowAnonymous bool   `help:"Serve requests without a key."`
}

// WorkerFlags are those of programs with a worker.
type WorkerFlags struct {
	Pool  string `help:"Pool of this worker (default)." placeholder:"NAME"`
	Slots int    `help:"Jobs at once (4096)." placeholder:"N"`
}

// DataFlags are those of programs that may open the data folder.
type DataFlags struct {
	DataDir string `help:"Folder of the data." placeholder:"DIR"`
}

// Overrides returns what the flags set.
func (f *CommonFlags) Overrides() []config.Override {
	return texts(
		config.Override{Path: "nats.url", Text: f.NATSURL, Source: "--nats-url"},
		config.Override{Path: "nats.credentials", Text: f.NATSCreds, Source: "--nats-creds"},
		config.Override{Path: "nats.tls.ca", Text: f.NATSCA, Source: "--nats-tls-ca"},
		config.Override{Path: "nats.tls.cert", Text: f.NATSCert, Source: "--nats-tls-cert"},
		config.Override{Path: "nats.tls.key", Text: f.NATSKey, Source: "--nats-tls-key"},
		config.Override{Path: "namespace", Text: f.Namespace, Source: "--namespace"},
		config.Override{Path: "log.level", Text: f.LogLevel, Source: "--log-level"},
		config.Override{Path: "log.format", Text: f.LogFormat, Source: "--log-format"},
	)
}

// Overrides returns what the flags set.
func (f *AdminFlags) Overrides() []config.Override {
	return texts(config.Override{Path: "admin_listen", Text: f.AdminListen, Source: "--admin-listen"})
}

// Overrides returns what the flags set.
func (f *FrontendFlags) Overrides() []config.Override {
	anonymous := ""
	if f.AllowAnonymous {
		anonymous = "true"
	}
	return texts(
		config.Override{Path: "listen", Text: f.Listen, Source: "--listen"},
		config.Override{Path: "frontend.allow_anonymous", Text: anonymous, Source: "--allow-anonymous"},
	)
}

// Overrides returns what the flags set.
func (f *WorkerFlags) Overrides() []config.Override {
	slots := ""
	if f.Slots != 0 {
		slots = strconv.Itoa(f.Slots)
	}
	return texts(
		config.Override{Path: "worker.pool", Text: f.Pool, Source: "--pool"},
		config.Override{Path: "worker.slots", Text: slots, Source: "--slots"},
	)
}

// Overrides returns what the flags set.
func (f *DataFlags) Overrides() []config.Override {
	return texts(config.Override{Path: "data_dir", Text: f.DataDir, Source: "--data-dir"})
}

func texts(all ...config.Override) []config.Override {
	set := all[:0]
	for _, o := range all {
		if o.Text != "" {
			set = append(set, o)
		}
	}
	return set
}
