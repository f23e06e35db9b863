// Package local opens the NATS of the data folder, for osiris up and for the commands
// that work with what it keeps. Programs that run apart do not link it, nor the server.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/embedded"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/pkg/jobs"
)

// Start starts the server of the data folder, which it makes if it is not there.
func Start(cfg *config.Config, environ []string, log *slog.Logger) (*service.Server, error) {
	dir, err := dataDir(cfg, environ)
	if err != nil {
		return nil, err
	}
	s, err := startEmbedded(cfg, dir, false, log)
	if err != nil {
		return nil, err
	}
	return &service.Server{InProcess: s, Token: s.Token(), DataDir: dir, URL: s.URL(), Stop: s.Stop}, nil
}

// dataDir is the folder that cfg means.
func dataDir(cfg *config.Config, environ []string) (string, error) {
	if cfg.DataDir != "" {
		return cfg.DataDir, nil
	}
	return config.DefaultDataDir(environ)
}

// startEmbedded starts the server of the data folder; quiet ones have no listener.
func startEmbedded(cfg *config.Config, dir string, quiet bool, log *slog.Logger) (*embedded.Server, error) {
	e := cfg.Embedded
	out := embedded.Config{
		Dir: dir, Listen: e.Listen, Domain: cfg.NATS.Domain, SyncAlways: e.Sync == "always",
		MaxStore: int64(e.MaxStore), MaxMemory: int64(e.MaxMemory), MaxPayload: int64(e.MaxPayload), Logger: log,
	}
	if quiet || e.Listen == "off" {
		out.Listen = ""
	}
	if !out.SyncAlways {
		out.SyncInterval, _ = time.ParseDuration(e.Sync) // config verified it
	}
	return embedded.Start(out)
}

// Queue is a connection for a command of a moment, with the server below it if the
// command had to start one.
type Queue struct {
	*jobs.Conn
	server *embedded.Server
}

// OpenQueue connects to nats.url; without one to the osiris up that has the data
// folder; and when none runs, it opens the folder itself, which must exist: a key in a
// new one would open no door.
func OpenQueue(ctx context.Context, cfg *config.Config, environ []string, log *slog.Logger) (*Queue, error) {
	jc, err := service.JobsConfig(cfg, "osiris-command", log)
	if err != nil {
		return nil, err
	}
	q := &Queue{}
	if jc.URL == "" {
		if err := q.local(&jc, cfg, environ, log); err != nil {
			return nil, err
		}
	}
	if q.Conn, err = jobs.Connect(ctx, jc); err != nil {
		return nil, errors.Join(err, q.stopServer())
	}
	return q, nil
}

func (q *Queue) local(jc *jobs.Config, cfg *config.Config, environ []string, log *slog.Logger) error {
	dir, err := dataDir(cfg, environ)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no data folder %s: osiris up makes it; name another with --data-dir, or a server with --nats-url", dir)
	}
	q.server, err = startEmbedded(cfg, dir, true, log)
	if err == nil {
		jc.InProcess, jc.Token = q.server, q.server.Token()
		return nil
	}
	if _, running := errors.AsType[*embedded.LockedError](err); !running {
		return err
	}
	c, readErr := embedded.ReadConnection(dir)
	if errors.Is(readErr, fs.ErrNotExist) {
		return fmt.Errorf("%w (it has no listener to be asked: see embedded.listen)", err)
	}
	jc.URL, jc.Token = c.URL, c.Token
	return readErr
}

func (q *Queue) stopServer() error {
	if q.server == nil {
		return nil
	}
	return q.server.Stop()
}

// Close ends the connection, and the server if there is one.
func (q *Queue) Close() error {
	q.Conn.Close()
	return q.stopServer()
}
