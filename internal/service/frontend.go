package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/frontend"
)

// frontendPart is the frontend of a program and the goroutine that serves it.
type frontendPart struct {
	server *frontend.Server
	addr   net.Addr
	served sync.WaitGroup
}

func startFrontend(ctx context.Context, r *instance) (*frontendPart, error) {
	if err := r.awaitKey(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	ln, err := listen(r.Config.Listen)
	if err != nil {
		return nil, err
	}
	// The key is there before the frontend reads the keys, so that a curl pasted at
	// once works.
	if err := r.createFirstKey(ctx); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	server, err := frontend.New(ctx, frontendConfig(r.Config), r.conn, r.log, r.metrics)
	if err != nil {
		if r.info.NewKey != "" && !r.info.Preset {
			err = fmt.Errorf("%w (the first key was made and is lost; make another: osiris keys create)", err)
		}
		return nil, errors.Join(err, ln.Close())
	}
	p := &frontendPart{server: server, addr: ln.Addr()}
	p.served.Go(func() {
		if err := server.Listen(ln); err != nil {
			r.fail(err)
		}
	})
	return p, nil
}

func frontendConfig(cfg *config.Config) frontend.Config {
	f := cfg.Frontend
	return frontend.Config{
		MaxBody: int64(f.MaxBody), MaxWaiting: f.MaxWaiting, DefaultPool: cfg.Worker.Pool,
		RequestTimeout: f.RequestTimeout, HoldBack: f.HoldBack, KeepAlive: f.KeepAlive, WriteStall: f.WriteStall,
		AllowAnonymous: f.AllowAnonymous,
	}
}

// keyPoll is the pause between two looks for the first key, and keyReminder that
// between two log lines about it.
const (
	keyPoll     = 250 * time.Millisecond
	keyReminder = 30 * time.Second
)

// awaitKey keeps a frontend that other machines could reach from listening until a
// key exists. It returns at once for a loopback address or with allow_anonymous.
func (r *instance) awaitKey(ctx context.Context) error {
	comes := r.Embedded || r.Config.BootstrapKey != "" // createFirstKey sees to it
	if comes || r.Config.Frontend.AllowAnonymous || isLoopback(r.Config.Listen) {
		return nil
	}
	keys, err := r.conn.WatchKeys(ctx)
	if err != nil {
		return err
	}
	defer keys.Close()
	ticker := time.NewTicker(keyPoll)
	defer ticker.Stop()
	var said time.Time
	for keys.Empty() {
		if time.Since(said) >= keyReminder {
			said = time.Now()
			r.log.Error("not listening: no API key exists and other machines could reach "+r.Config.Listen,
				"remedy", "create a key with: osiris keys create --nats-url URL; or set OSIRIS_BOOTSTRAP_KEY, or --allow-anonymous")
			r.admin.notReady("no API key exists: create one with osiris keys create")
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}

func (p *frontendPart) apply(_ context.Context, cfg *config.Config) error {
	return p.server.SetConfig(frontendConfig(cfg))
}

func (p *frontendPart) stop(ctx context.Context) error {
	err := p.server.Shutdown(ctx)
	p.served.Wait()
	return err
}

func (p *frontendPart) grace(cfg *config.Config) time.Duration { return cfg.Frontend.ShutdownGrace }
