package frontend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/osiris/osiris/pkg/jobs"
)

// Server answers HTTP requests from the queue. Its methods may be called from any
// goroutine.
type Server struct {
	cfg     atomic.Pointer[Config]
	log     *slog.Logger
	metrics *metrics
	routes  []route
	nobody  *jobs.Key // owns requests without a key

	queue     *jobs.Conn
	client    *jobs.Client
	catalogue *jobs.Catalogue
	keys      *jobs.Keyring

	app    *fiber.App
	conns  *connSet
	bodies bodies
	watch  watcher

	mu        sync.Mutex
	listeners []*listener     // guarded by mu; none comes once draining is set
	draining  atomic.Bool     // set under mu
	serving   sync.WaitGroup  // of Listen
	done      chan struct{}   // closed by Shutdown when nothing runs any more
	root      context.Context // of submissions; ends when answers must
	cancel    context.CancelFunc
	wg        sync.WaitGroup // of the watcher and the sweeper
	once      sync.Once      // of Shutdown
	stopErr   error          // what Shutdown returned; written inside once
}

// New subscribes to the events of this frontend's jobs and loads keys and models.
// It blocks until that is done or ctx ends. Shutdown gives everything back; conn
// stays open. A nil log discards, a nil reg keeps the metrics to itself.
func New(ctx context.Context, cfg Config, conn *jobs.Conn, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("configure frontend: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		log: log, queue: conn, done: make(chan struct{}),
		nobody: &jobs.Key{ID: anonymous, Name: anonymous, Tenant: anonymous},
	}
	s.root, s.cancel = context.WithCancel(context.Background())
	s.cfg.Store(&cfg)
	s.routes = s.allRoutes()
	s.conns = newConnSet(&s.bodies, func() time.Duration { return s.cfg.Load().WriteStall })
	var err error
	if s.metrics, err = newMetrics(reg, &s.bodies); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if err := s.subscribe(ctx, cfg); err != nil {
		s.unsubscribe()
		return nil, err
	}
	s.app = s.newApp(cfg)
	s.wg.Go(func() { s.watch.run(cfg.Poll, s.done) })
	s.wg.Go(s.sweepFiles)
	s.wg.Go(s.sweepKept)
	return s, nil
}

// subscribe opens what the frontend needs of the queue.
func (s *Server) subscribe(ctx context.Context, cfg Config) (err error) {
	if err = s.queue.EnsurePool(ctx, cfg.DefaultPool); err != nil {
		return fmt.Errorf("prepare pool %s: %w", cfg.DefaultPool, err)
	}
	if s.keys, err = s.queue.WatchKeys(ctx); err != nil {
		return fmt.Errorf("watch keys: %w", err)
	}
	if s.catalogue, err = s.queue.WatchCatalogue(ctx); err != nil {
		return fmt.Errorf("watch models: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // subscribing needs some end
	defer cancel()
	clientConfig := jobs.ClientConfig{ID: cfg.ID, MaxWaiting: cfg.MaxWaiting, Unhurried: true, Logger: s.log}
	if s.client, err = jobs.NewClient(ctx, s.queue, clientConfig); err != nil {
		return fmt.Errorf("subscribe to events: %w", err)
	}
	return nil
}

func (s *Server) unsubscribe() {
	s.cancel()
	if s.client != nil {
		s.client.Close()
	}
	if s.catalogue != nil {
		s.catalogue.Close()
	}
	if s.keys != nil {
		s.keys.Close()
	}
}

// newApp makes the HTTP server. Its time-outs are read deadlines, which conn
// renews for senders that make progress; there is no write time-out, because it
// would be one deadline for a whole stream.
func (s *Server) newApp(cfg Config) *fiber.App {
	app := fiber.New(fiber.Config{
		BodyLimit:                    int(cfg.MaxBody),
		ReadBufferSize:               cfg.MaxHeader,
		ReadTimeout:                  cfg.ReadTimeout,
		IdleTimeout:                  cfg.IdleTimeout,
		ReduceMemoryUsage:            true, // the header buffer is given back while a request is answered
		DisablePreParseMultipartForm: true,
		DisableDefaultContentType:    true,
		DisableStartupMessage:        true,
		Network:                      fiber.NetworkTCP,
	})
	app.Use(func(fc *fiber.Ctx) error {
		s.serve(fc)
		return nil
	})
	handle := app.Handler()
	server := app.Server()
	server.HeaderReceived = s.limits
	server.ExpectHandler = s.expect
	server.ErrorHandler = s.refuseBroken
	server.Handler = func(ctx *fasthttp.RequestCtx) {
		if twoLengths(&ctx.Request.Header) {
			s.refuseBroken(ctx, errTwoLengths)
			ctx.SetConnectionClose()
			return
		}
		if isUpload(&ctx.Request.Header) {
			s.takeOver(ctx)
			return
		}
		if knownMethod(ctx.Method()) {
			handle(ctx)
			return
		}
		fc := app.AcquireCtx(ctx) // fiber would answer in plain text
		defer app.ReleaseCtx(fc)
		s.serve(fc)
	}
	return app
}

// SetConfig replaces the configuration for requests that begin from now on. A
// faulty one is refused and the old one goes on.
func (s *Server) SetConfig(cfg Config) error {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return fmt.Errorf("configure frontend: %w", err)
	}
	s.cfg.Store(&cfg)
	return nil
}

// Listen answers requests that arrive at ln until Shutdown, then returns nil. It
// may be called for several listeners. It closes ln.
func (s *Server) Listen(ln net.Listener) error {
	l := newListener(ln, s.conns, s.log)
	if !s.register(l) {
		return l.Close()
	}
	defer s.serving.Done()
	if err := s.app.Listener(l); err != nil {
		return fmt.Errorf("listen on %s: %w", ln.Addr(), err)
	}
	return nil
}

// register notes a listener for Shutdown to close; after that it refuses.
func (s *Server) register(l *listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listeners = append(s.listeners, l)
	s.serving.Add(1)
	return true
}

// Ready says why requests should go elsewhere, or nil.
func (s *Server) Ready() error {
	if s.draining.Load() {
		return errors.New("frontend: shutting down")
	}
	return s.queue.Ready()
}
