package jobs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config says where NATS is and what the queue may hold. The zero value of every
// field but the address (URL or InProcess) is a sensible default.
type Config struct {
	// URL is one or several comma-separated addresses, "nats://127.0.0.1:4222"
	// if neither URL nor InProcess is given.
	URL string
	// InProcess connects to an embedded server without a socket. URL is ignored.
	InProcess interface{ InProcessConn() (net.Conn, error) }

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
		{"max usage bytes", cfg.MaxUsageBytes},
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

// Conn is a connection to the queue. Its methods may be called by any number of
// goroutines together. It reconnects for ever; while it is away, calls fail
// within their context's time instead of queueing up what nobody will wait for.
type Conn struct {
	cfg       Config
	log       *slog.Logger
	n         names
	nc        *nats.Conn
	js        jetstream.JetStream
	apiPrefix string // "$JS.API." or "$JS.<domain>.API."

	keys, models, workers jetstream.KeyValue

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // of the goroutines that watch; Close waits for it

	closed chan struct{} // closed by NATS's handler once nothing of nc runs any more

	mu    sync.Mutex
	pools map[string]struct{} // whose consumers are known to exist
}

// Connect connects and creates what is missing: streams, buckets. It keeps
// trying until ctx ends, so programs may be started in any order; faults that no
// waiting mends (credentials refused, a configuration that makes no sense) are
// returned at once. ctx governs only Connect, not the connection's life.
func Connect(ctx context.Context, cfg Config) (*Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	n, err := newNames(cfg.Namespace)
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	c := &Conn{
		cfg: cfg, log: cfg.Logger, n: n, apiPrefix: "$JS.API.",
		closed: make(chan struct{}), pools: make(map[string]struct{}),
	}
	if cfg.Domain != "" {
		c.apiPrefix = "$JS." + cfg.Domain + ".API."
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if err := c.dial(ctx); err != nil {
		c.cancel()
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	if err := c.prepare(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	return c, nil
}

// Close ends the connection, what watches over it (Catalogue, Keyring) included,
// and returns when nothing of it runs any more. Streams and consumers made on it
// must be closed first. Calling it again does nothing.
func (c *Conn) Close() {
	c.cancel()
	c.wg.Wait()
	if c.nc.IsConnected() {
		_ = c.nc.FlushTimeout(2 * time.Second) // what was published just before; a server that is gone costs nothing more
	}
	c.nc.Close()
	<-c.closed
}

// Ready returns nil while the server can be reached. It asks nobody: an outage is
// noticed when the connection breaks, or after two missed pings (10 s).
func (c *Conn) Ready() error {
	if s := c.nc.Status(); s != nats.CONNECTED {
		return fmt.Errorf("nats: %s", s)
	}
	return nil
}

// dial sets up nc and js and waits for the first connection.
func (c *Conn) dial(ctx context.Context) error {
	var faults faultLog
	faults.log = c.log
	opts, err := c.options(&faults)
	if err != nil {
		return err
	}
	up := make(chan struct{}, 1)
	refused := make(chan error, 1)
	opts = append(opts,
		nats.ConnectHandler(func(*nats.Conn) { up <- struct{}{} }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			faults.report(err)
			if permanent(err) {
				select {
				case refused <- err:
				default:
				}
			}
		}))
	if c.nc, err = nats.Connect(c.cfg.URL, opts...); err != nil {
		return err
	}
	select {
	case <-up:
	case err = <-refused:
	case <-c.closed:
		err = cmpErr(c.nc.LastError(), nats.ErrConnectionClosed)
	case <-ctx.Done():
		err = context.Cause(ctx)
		if last := faults.last(); last != nil {
			err = fmt.Errorf("%w: %w", err, last)
		}
	}
	if err == nil {
		if c.cfg.Domain != "" {
			c.js, err = jetstream.NewWithDomain(c.nc, c.cfg.Domain)
		} else {
			c.js, err = jetstream.New(c.nc)
		}
	}
	if err != nil {
		c.nc.Close()
		<-c.closed
	}
	return err
}

func cmpErr(err, fallback error) error {
	if err != nil {
		return err
	}
	return fallback
}

// permanent reports faults that a first connection should not wait out.
func permanent(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired) ||
		errors.Is(err, nats.ErrSecureConnRequired) || errors.Is(err, nats.ErrSecureConnWanted)
}

func (c *Conn) options(faults *faultLog) ([]nats.Option, error) {
	cfg := c.cfg
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(), // a server that reloads its users must not end us for good
		nats.CustomReconnectDelay(func(int) time.Duration {
			return 200*time.Millisecond + rand.N(100*time.Millisecond)
		}),
		// What was published into an outage would be sent after its request
		// has failed: a refusal is the truth.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(2 * time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				c.log.Warn("nats connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			faults.clear()
			c.log.Info("nats connection restored", "server", nc.ConnectedServerName())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if sub != nil {
				c.log.Error("nats subscription fault", "subject", sub.Subject, "error", err)
				return
			}
			c.log.Error("nats fault", "error", err)
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	}
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	}
	if cfg.TLS != nil {
		opts = append(opts, nats.Secure(cfg.TLS))
	}
	return appendCredentials(opts, cfg)
}

func appendCredentials(opts []nats.Option, cfg Config) ([]nats.Option, error) {
	if cfg.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(cfg.CredentialsFile))
	}
	if cfg.NKeyFile != "" {
		o, err := nats.NkeyOptionFromSeed(cfg.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("read nkey file: %w", err)
		}
		opts = append(opts, o)
	}
	if cfg.User != "" || cfg.Password != "" {
		opts = append(opts, nats.UserInfo(cfg.User, cfg.Password))
	}
	if cfg.Token != "" {
		opts = append(opts, nats.Token(cfg.Token))
	}
	return opts, nil
}

// faultLog reports failed attempts to connect: each new fault at once, a lasting
// one twice a minute.
type faultLog struct {
	log *slog.Logger

	mu   sync.Mutex
	err  error
	when time.Time
}

func (f *faultLog) report(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	repeated := f.err != nil && f.err.Error() == err.Error() && time.Since(f.when) < 30*time.Second
	f.err = err
	if repeated {
		return
	}
	f.when = time.Now()
	f.log.Warn("nats cannot be reached, trying on", "error", err)
}

func (f *faultLog) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = nil
}

func (f *faultLog) last() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
