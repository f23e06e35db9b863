package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/embedded"
	"github.com/osiris/osiris/pkg/jobs"
)

// Params say what program to run.
type Params struct {
	Name     string // in logs and in NATS' monitoring
	Frontend bool
	Worker   bool
	Embedded bool // osiris up: make the first key and, without nats.url, run NATS

	Options config.Options // for reading the configuration again
	Config  *config.Config // what Options gave at first
	Stderr  io.Writer      // of the log

	// Ready is called once, when everything runs; nil for nothing.
	Ready func(Info)
}

// Info is what a program that runs may tell people.
type Info struct {
	API     net.Addr // nil without a frontend
	Admin   net.Addr // nil if off
	DataDir string   // empty without an embedded NATS
	NATS    string   // where other programs reach the embedded NATS; may be empty
	NewKey  string   // the secret of a key made just now; to be shown once
	Preset  bool     // NewKey is OSIRIS_BOOTSTRAP_KEY
	Models  []string
}

// part is a frontend or a worker.
type part interface {
	// apply takes a new configuration over, or changes nothing and says why.
	apply(ctx context.Context, cfg *config.Config) error
	// stop lets running work end until its grace is over, then ends it.
	stop(ctx context.Context) error
	grace(cfg *config.Config) time.Duration
}

// instance is a program while it runs.
type instance struct {
	Params
	log     *slog.Logger
	level   *slog.LevelVar
	metrics *prometheus.Registry
	admin   *admin
	nats    *embedded.Server // nil if elsewhere
	conn    *jobs.Conn
	parts   []part // in the order of starting
	info    Info
	fail    context.CancelCauseFunc // ends the program with an error
}

// Run runs the program until ctx ends, then stops it gracefully and returns nil. It
// returns early with an error that says what to do when something cannot start.
func Run(ctx context.Context, p Params) error {
	r := &instance{Params: p, metrics: prometheus.NewRegistry()}
	r.log, r.level = NewLogger(p.Stderr, p.Config.Log)
	r.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, warning := range p.Config.Warnings {
		r.log.Warn(warning)
	}
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r.fail = fail
	err := r.start(running)
	if err == nil {
		r.serve(running)
	}
	switch {
	case ctx.Err() != nil:
		if err != nil && errors.Is(err, context.Cause(ctx)) {
			err = nil // told to stop while still starting
		}
	case err == nil:
		err = context.Cause(running) // a part failed
	}
	return errors.Join(err, r.stop())
}

// startTime bounds each step of starting once NATS answers.
const startTime = 30 * time.Second

func (r *instance) start(ctx context.Context) error {
	cfg := r.Config
	if r.Frontend {
		if err := probe(cfg.Listen); err != nil {
			return err
		}
	}
	var err error
	if r.admin, err = startAdmin(cfg.AdminListen, cfg.AdminSet, r.metrics, r.log); err != nil {
		return err
	}
	r.info.Admin = r.admin.addr
	if err := r.connect(ctx); err != nil {
		return err
	}
	if r.Worker {
		w, err := startWorker(ctx, r)
		if err != nil {
			return err
		}
		r.parts = append(r.parts, w)
	}
	if r.Frontend {
		f, err := startFrontend(ctx, r)
		if err != nil {
			return err
		}
		r.parts = append(r.parts, f)
		r.info.API = f.addr
	}
	return nil
}

// createFirstKey comes late: little can fail any more before a new key is shown.
func (r *instance) createFirstKey(ctx context.Context) (err error) {
	bootstrap := r.Config.BootstrapKey
	r.info.NewKey, err = firstKey(ctx, r.conn, bootstrap, r.Embedded, r.log)
	r.info.Preset = r.info.NewKey != "" && bootstrap != ""
	return err
}

// connect reaches the queue, through a server of our own or another.
func (r *instance) connect(ctx context.Context) error {
	jc, err := jobsConfig(r.Config, r.Name, r.log)
	if err != nil {
		return err
	}
	if r.Embedded && jc.URL == "" {
		if r.info.DataDir, err = DataDir(r.Config, r.Options.Environ); err != nil {
			return err
		}
		if r.nats, err = startEmbedded(r.Config, r.info.DataDir, false, r.log); err != nil {
			return err
		}
		jc.InProcess, jc.Token = r.nats, r.nats.Token()
		r.info.NATS = r.nats.URL()
	}
	r.admin.notReady("waiting for NATS")
	if r.conn, err = jobs.Connect(ctx, jc); err != nil {
		return err
	}
	r.admin.notReady("starting")
	return nil
}

// serve reports readiness and reloads until ctx ends.
func (r *instance) serve(ctx context.Context) {
	r.admin.ready(r.conn.Ready)
	attrs := []any{"program", r.Name}
	if r.info.API != nil {
		attrs = append(attrs, "api", r.info.API.String())
	}
	if r.info.Admin != nil {
		attrs = append(attrs, "admin", r.info.Admin.String())
	}
	r.log.Info("ready", attrs...)
	if r.Ready != nil {
		r.Ready(r.info)
	}
	hangup, release := hangups()
	defer release()
	watcher := &config.Watcher{
		Options: r.Options, Current: r.Config, Hangup: hangup, Logger: r.log,
		Apply: func(next *config.Config) error { return r.apply(ctx, next) },
	}
	watcher.Run(ctx)
	r.Config = watcher.Current
}

// apply hands next to every part. When one refuses it, those before go back to what
// ran: a configuration takes effect whole or not at all.
func (r *instance) apply(ctx context.Context, next *config.Config) error {
	for i, p := range r.parts {
		if err := p.apply(ctx, next); err != nil {
			for _, done := range r.parts[:i] {
				err = errors.Join(err, done.apply(ctx, r.Config))
			}
			return err
		}
	}
	setLevel(r.level, next.Log.Level)
	r.Config = next
	return nil
}

// stop ends what start began, top down. The grace periods bound it.
func (r *instance) stop() error {
	if r.admin != nil {
		r.admin.notReady("stopping")
		defer r.admin.stop()
	}
	if len(r.parts) > 0 {
		r.log.Info("stopping", "program", r.Name)
	}
	var errs []error
	began := time.Now()
	for _, p := range slices.Backward(r.parts) {
		// The periods run side by side: the frontend's requests end because the
		// worker's jobs do.
		deadline := began.Add(p.grace(r.Config))
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		if err := p.stop(ctx); err != nil && ctx.Err() == nil {
			errs = append(errs, err)
		} else if err != nil {
			r.log.Warn("grace period is over, cut what still ran", "error", err)
		}
		cancel()
	}
	if r.conn != nil {
		r.conn.Close()
	}
	if r.nats != nil {
		errs = append(errs, r.nats.Stop())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
