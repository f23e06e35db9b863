package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/pkg/jobs"
)

// Params say what program to run.
type Params struct {
	Name  string    // in logs and in NATS' monitoring
	Parts []Starter // in the order of starting; stopped in the opposite one

	// Server starts a NATS inside the program, which is asked for where no nats.url
	// is configured. Nil: NATS runs elsewhere.
	Server func(cfg *config.Config, environ []string, log *slog.Logger) (*Server, error)

	Options config.Options // for reading the configuration again
	Config  *config.Config // what Options gave at first
	Stderr  io.Writer      // of the log

	// Ready is called once, when everything runs; nil for nothing.
	Ready func(Info)
}

// instance is a program while it runs.
type instance struct {
	Params
	log     *slog.Logger
	level   *slog.LevelVar
	metrics *prometheus.Registry
	admin   *admin
	server  *Server // nil if NATS is elsewhere
	conn    *jobs.Conn
	parts   []Part // in the order of starting
	info    Info
	fail    context.CancelCauseFunc // ends the program with an error
}

// Run runs the program until ctx ends, then stops it gracefully and returns nil. It
// returns early with an error that says what to do when something cannot start.
func Run(ctx context.Context, p Params) error {
	followContainer()
	defer runtime.KeepAlive(newBallast())
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

func (r *instance) start(ctx context.Context) error {
	for _, s := range r.Parts {
		if s.Check != nil {
			if err := s.Check(r.Config); err != nil {
				return err
			}
		}
	}
	var err error
	if r.admin, err = startAdmin(r.Config.AdminListen, r.Config.AdminSet, r.metrics, r.log); err != nil {
		return err
	}
	r.info.Admin = r.admin.addr
	if err := r.connect(ctx); err != nil {
		return err
	}
	host := &Host{
		Config: r.Config, Conn: r.conn, Log: r.log, Metrics: r.metrics, Info: &r.info,
		NotReady: r.admin.notReady, Fail: r.fail,
	}
	for _, s := range r.Parts {
		part, err := s.Start(ctx, host)
		if err != nil {
			return err
		}
		r.parts = append(r.parts, part)
	}
	return nil
}

// connect reaches the queue, through a server of our own or another.
func (r *instance) connect(ctx context.Context) error {
	jc, err := JobsConfig(r.Config, r.Name, r.log)
	if err != nil {
		return err
	}
	if r.Server != nil && jc.URL == "" {
		if r.server, err = r.Server(r.Config, r.Options.Environ, r.log); err != nil {
			return err
		}
		jc.InProcess, jc.Token = r.server.InProcess, r.server.Token
		r.info.DataDir, r.info.NATS = r.server.DataDir, r.server.URL
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
		if err := p.Apply(ctx, next); err != nil {
			for _, done := range r.parts[:i] {
				err = errors.Join(err, done.Apply(ctx, r.Config))
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
		deadline := began.Add(p.Grace(r.Config))
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		if err := p.Stop(ctx); err != nil && ctx.Err() == nil {
			errs = append(errs, err)
		} else if err != nil {
			r.log.Warn("grace period is over, cut what still ran", "error", err)
		}
		cancel()
	}
	if r.conn != nil {
		r.conn.Close()
	}
	if r.server != nil {
		errs = append(errs, r.server.Stop())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
