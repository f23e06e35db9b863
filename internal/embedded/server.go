package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Config says where the data is and what the server may use.
type Config struct {
	Dir          string        // made if missing
	Listen       string        // host:port, port 0 for any free one; "" for no listener
	Domain       string        // JetStream domain; may be empty
	SyncAlways   bool          // flush to disk before every acknowledgement
	SyncInterval time.Duration // else this often; 1 s if zero
	MaxStore     int64         // bytes on disk; 10 GB if zero
	MaxMemory    int64         // bytes of streams in memory; 256 MB if zero
	MaxPayload   int64         // bytes of a message; 4 MiB if zero
	Logger       *slog.Logger  // nil: nothing is logged
}

// Server is a running NATS server. Its methods may be called by any goroutine.
type Server struct {
	nats  *server.Server
	lock  *lock
	dir   string
	token string
	url   string
}

// Start locks the data folder and returns once the server takes connections. The
// error is a *LockedError while another process has the folder.
func Start(cfg Config) (*Server, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	held, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: held, dir: cfg.Dir}
	if err := s.start(cfg); err != nil {
		return nil, fmt.Errorf("start embedded nats: %w", errors.Join(err, s.Stop()))
	}
	return s, nil
}

func (s *Server) start(cfg Config) error {
	var err error
	if s.token, err = token(cfg.Dir); err != nil {
		return err
	}
	opts, err := options(cfg, s.token)
	if err != nil {
		return err
	}
	if s.nats, err = server.NewServer(opts); err != nil {
		return err
	}
	log := &serverLog{log: cfg.Logger}
	if cfg.Logger != nil {
		s.nats.SetLoggerV2(log, false, false, false)
	}
	s.nats.Start() // returns once everything runs in the background
	if !s.nats.ReadyForConnections(30 * time.Second) {
		return errors.Join(errors.New("not ready within 30 s"), log.fatal())
	}
	if !s.nats.JetStreamEnabled() {
		return errors.Join(errors.New("jetstream did not start"), log.fatal())
	}
	if opts.DontListen {
		return nil
	}
	s.url = "nats://" + s.nats.Addr().String()
	return writeConnection(s.dir, Connection{URL: s.url, Token: s.token, PID: os.Getpid()})
}

func options(cfg Config, token string) (*server.Options, error) {
	opts := &server.Options{
		ServerName:             "osiris",
		DontListen:             cfg.Listen == "",
		NoSigs:                 true,
		NoLog:                  cfg.Logger == nil,
		Authorization:          token,
		JetStream:              true,
		JetStreamDomain:        cfg.Domain,
		StoreDir:               filepath.Join(cfg.Dir, "nats"),
		JetStreamMaxStore:      orElse(cfg.MaxStore, 10e9),
		JetStreamMaxMemory:     orElse(cfg.MaxMemory, 256e6),
		MaxPayload:             int32(orElse(cfg.MaxPayload, 4<<20)),
		SyncAlways:             cfg.SyncAlways,
		SyncInterval:           orElse(cfg.SyncInterval, time.Second),
		DisableJetStreamBanner: true,
	}
	if opts.DontListen {
		return opts, nil
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if opts.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("listen: port %q: %w", port, err)
	}
	opts.Host = host
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
		return opts, nil
	}
	// The server would go on without its listener: find out first.
	probe, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: free the port, or choose another with --nats-listen", err)
	}
	return opts, probe.Close()
}

// InProcessConn connects to the server without a socket. It needs the token too.
func (s *Server) InProcessConn() (net.Conn, error) { return s.nats.InProcessConn() }

// Token is what every connection must present.
func (s *Server) Token() string { return s.token }

// URL is where other programs connect; empty without a listener.
func (s *Server) URL() string { return s.url }

// Stop ends the server, waits until its data is safe, and frees the folder. Close
// connections first. It may be called once.
func (s *Server) Stop() error {
	err := removeConnection(s.dir)
	if s.nats != nil {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
	}
	if err = errors.Join(err, s.lock.release()); err != nil {
		return fmt.Errorf("stop embedded nats: %w", err)
	}
	return nil
}

func orElse[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}
