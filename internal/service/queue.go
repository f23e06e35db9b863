package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/embedded"
	"github.com/osiris/osiris/pkg/jobs"
)

// jobsConfig translates what all programs share.
func jobsConfig(cfg *config.Config, name string, log *slog.Logger) (jobs.Config, error) {
	n := cfg.NATS
	out := jobs.Config{
		URL: n.URL.Reveal(), Name: name, Namespace: cfg.Namespace, Domain: n.Domain,
		CredentialsFile: n.Credentials, NKeyFile: n.NKey,
		User: n.User, Password: n.Password.Reveal(), Token: n.Token.Reveal(),
		Replicas: n.Replicas, MaxQueued: cfg.Queue.MaxJobs, MaxQueuedBytes: int64(cfg.Queue.MaxBytes),
		MaxBody: int64(cfg.Frontend.MaxBody), AckWait: cfg.Queue.Lease, Logger: log,
	}
	var err error
	out.TLS, err = tlsConfig(n.TLS)
	return out, err
}

func tlsConfig(t config.TLS) (*tls.Config, error) {
	if t == (config.TLS{}) {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("nats.tls.ca: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("nats.tls.ca: %s holds no PEM certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("nats.tls.cert: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// DataDir is the folder that cfg means.
func DataDir(cfg *config.Config, environ []string) (string, error) {
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
	jc, err := jobsConfig(cfg, "osiris-command", log)
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
	dir, err := DataDir(cfg, environ)
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
