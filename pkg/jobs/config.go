package jobs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// Config says where NATS is and what the queue may hold. The zero value of every
// field but the address (URL or InProcess) is a sensible default.
type Config struct {
	// URL is one or several comma-separated addresses, "nats://127.0.0.1:4222"
	// if neither URL nor InProcess is given.
	URL string
	// InProcess connects to an embedded server without a socket. URL is ignored.
	InProcess interface{ InProcessConn() (net.Conn, error) }

	// Dial opens the connections to URL; nil: a net.Dialer. It gives up by itself.
	Dial func(network, address string) (net.Conn, error)

	// Local, if not nil, lets events take a Unix socket instead of the broker between a
	// frontend and a worker of one user on one machine, if both have it. It is given the
	// connection and returns it, or one that costs less. Linux only; without effect elsewhere.
	Local func(net.Conn) net.Conn

	Name      string // of this client, for the server's monitoring
	Namespace string // begins every subject and stream; "osiris"
	Domain    string // JetStream domain; "" is the account's own

	CredentialsFile string // user JWT and seed
	NKeyFile        string // seed alone
	User, Password  string
	Token           string
	TLS             *tls.Config // nil: none unless the URL's scheme asks for it

	// Replicas of every stream. 0: three on a cluster of three or more, else
	// one; then a stream that has more copies keeps them.
	Replicas       int
	MaxQueued      int64         // jobs waiting or running, per class; 100,000
	MaxQueuedBytes int64         // per class; 1 GiB
	MaxBody        int64         // largest request body, bytes; 32 MiB
	MaxBodiesBytes int64         // of all large bodies together; 2 GiB
	UsageAge       time.Duration // how long usage records are kept; 30 days
	MaxUsageBytes  int64         // 512 MiB
	AckWait        time.Duration // a worker's lease on a job; 30 s
	KeepResults    time.Duration // how long kept jobs can be read; 30 days
	KeepEvents     time.Duration // how long the events of a kept stream can be replayed; 1 h
	LongestBatch   time.Duration // the longest window that batches may ask for; 24 h
	MaxEventsBytes int64         // of all stored events together, the oldest go first; 1 GiB

	Logger *slog.Logger // nil: nothing is logged
}

// DefaultMaxBody is the largest request body unless Config.MaxBody says otherwise.
const DefaultMaxBody = 32 << 20

// withDefaults returns cfg with every zero field filled, or every fault in it.
func (cfg Config) withDefaults() (Config, error) {
	setDefault(&cfg.Namespace, "osiris")
	setDefault(&cfg.Name, cfg.Namespace)
	setDefault(&cfg.MaxQueued, 100_000)
	setDefault(&cfg.MaxQueuedBytes, 1<<30)
	setDefault(&cfg.MaxBody, DefaultMaxBody)
	setDefault(&cfg.MaxBodiesBytes, 2<<30)
	setDefault(&cfg.UsageAge, 30*24*time.Hour)
	setDefault(&cfg.MaxUsageBytes, 512<<20)
	setDefault(&cfg.AckWait, 30*time.Second)
	setDefault(&cfg.KeepResults, 30*24*time.Hour)
	setDefault(&cfg.KeepEvents, time.Hour)
	setDefault(&cfg.LongestBatch, 24*time.Hour)
	setDefault(&cfg.MaxEventsBytes, 1<<30)
	if cfg.URL == "" {
		cfg.URL = nats.DefaultURL
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg, cfg.check()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (cfg Config) check() error {
	var faults []error
	if err := checkToken("namespace", cfg.Namespace); err != nil {
		faults = append(faults, err)
	}
	if cfg.Domain != "" {
		if err := checkToken("domain", cfg.Domain); err != nil {
			faults = append(faults, err)
		}
	}
	if cfg.Replicas < 0 || cfg.Replicas > 5 {
		faults = append(faults, fmt.Errorf("replicas %d: want 0 to 5", cfg.Replicas))
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"max queued", cfg.MaxQueued}, {"max queued bytes", cfg.MaxQueuedBytes},
		{"max body", cfg.MaxBody}, {"max bodies bytes", cfg.MaxBodiesBytes},
		{"max usage bytes", cfg.MaxUsageBytes}, {"max events bytes", cfg.MaxEventsBytes},
		{"keep results", int64(cfg.KeepResults)}, {"keep events", int64(cfg.KeepEvents)},
		{"usage age", int64(cfg.UsageAge)}, {"ack wait", int64(cfg.AckWait)},
	} {
		if f.value < 0 {
			faults = append(faults, fmt.Errorf("%s %d: must not be negative", f.name, f.value))
		}
	}
	if cfg.AckWait > 0 && cfg.AckWait < time.Second {
		faults = append(faults, fmt.Errorf("ack wait %s: want a second or more", cfg.AckWait))
	}
	return errors.Join(faults...)
}
