package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Conn is a connection to the queue. Its methods may be called by any number of
// goroutines together. It reconnects for ever; while it is away, calls fail
// within their context's time instead of queueing up what nobody will wait for.
type Conn struct {
	cfg       Config
	log       *slog.Logger
	n         names
	nc        *nats.Conn
	js        jetstream.JetStream
	acks      *acks
	apiPrefix string // "$JS.API." or "$JS.<domain>.API."
	born      time.Time

	keys, models, workers, webhooks jetstream.KeyValue

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // of the goroutines that begin started; Close waits for it

	files *fileBudget

	closed chan struct{} // closed by NATS's handler once nothing of nc runs any more

	mu      sync.Mutex            // guards what follows, and the end of ctx against begin
	said    map[string]PoolModels // by pool: what this connection last published
	clients map[string]*Client    // by frontend
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
		files: newFileBudget(),
		cfg:   cfg, log: cfg.Logger, n: n, apiPrefix: "$JS.API.", born: time.Now(),
		closed: make(chan struct{}), clients: map[string]*Client{},
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
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.wg.Wait()
	if c.nc.IsConnected() {
		_ = c.nc.FlushTimeout(2 * time.Second) // what was published just before; a server that is gone costs nothing more
	}
	c.nc.Close()
	<-c.closed
}

// Near reports whether the broker is in this process: a message costs little.
func (c *Conn) Near() bool { return c.cfg.InProcess != nil }

// begin runs f, which ends with the connection's context, in a goroutine that Close waits
// for. It returns false, and f does not run, once the connection is closed.
func (c *Conn) begin(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.wg.Go(f)
	return true
}

// flushWait bounds a flush, which the library wants bounded.
const flushWait = 10 * time.Second

// flush returns when the server has seen everything sent so far.
func (c *Conn) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	return c.nc.FlushWithContext(ctx)
}

// Ready returns nil while the server can be reached. It asks nobody: an outage is
// noticed when the connection breaks, or after two missed pings (10 s).
func (c *Conn) Ready() error {
	if s := c.nc.Status(); s != nats.CONNECTED {
		return fmt.Errorf("nats: %s", s)
	}
	return nil
}
