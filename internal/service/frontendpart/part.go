// Package frontendpart is the frontend as a part of a program: its listener, which
// opens only when a key exists or none is needed, and the first key.
package frontendpart

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/frontend"
	"github.com/osiris/osiris/internal/service"
)

// Options say what only some programs do.
type Options struct {
	// FirstKey makes a key where there is none at all, and puts it into Info.
	FirstKey bool
}

// Starter starts a frontend as the configuration says.
func Starter(o Options) service.Starter {
	return service.Starter{
		Check: func(cfg *config.Config) error { return probe(cfg.Listen) },
		Start: func(ctx context.Context, h *service.Host) (service.Part, error) { return start(ctx, h, o) },
	}
}

// part is a frontend and the goroutine that serves it.
type part struct {
	server *frontend.Server
	served sync.WaitGroup
}

func start(ctx context.Context, h *service.Host, o Options) (*part, error) {
	if err := awaitKey(ctx, h, o); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, service.StartTime)
	defer cancel()
	ln, err := listen(h.Config.Listen)
	if err != nil {
		return nil, err
	}
	// The key is there before the frontend reads the keys, so that a curl pasted at
	// once works. It comes late: little can fail any more before it is shown.
	bootstrap := h.Config.BootstrapKey
	made, err := firstKey(ctx, h.Conn, bootstrap, o.FirstKey, h.Log)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	server, err := frontend.New(ctx, frontendConfig(h.Config), h.Conn, h.Log, h.Metrics)
	if err != nil {
		if made != "" && bootstrap == "" {
			err = fmt.Errorf("%w (the first key was made and is lost; make another: osiris keys create)", err)
		}
		return nil, errors.Join(err, ln.Close())
	}
	h.Info.API, h.Info.NewKey, h.Info.Preset = ln.Addr(), made, made != "" && bootstrap != ""
	p := &part{server: server}
	p.served.Go(func() {
		if err := server.Listen(ln); err != nil {
			h.Fail(err)
		}
	})
	return p, nil
}

func frontendConfig(cfg *config.Config) frontend.Config {
	f := cfg.Frontend
	return frontend.Config{
		MaxBody: int64(f.MaxBody), MaxBodies: int64(max(f.MaxBodies, f.MaxBody)), MaxWaiting: f.MaxWaiting, DefaultPool: cfg.Worker.Pool,
		RequestTimeout: f.RequestTimeout, BackgroundTimeout: f.BackgroundTimeout, HoldBack: f.HoldBack, KeepAlive: f.KeepAlive, WriteStall: f.WriteStall,
		MaxFile: int64(cfg.Files.MaxSize), TenantFiles: int64(cfg.Files.TenantBytes),
		BatchWindows:   cfg.Batches.WindowList(),
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
func awaitKey(ctx context.Context, h *service.Host, o Options) error {
	comes := o.FirstKey || h.Config.BootstrapKey != "" // firstKey sees to it
	if comes || h.Config.Frontend.AllowAnonymous || isLoopback(h.Config.Listen) {
		return nil
	}
	keys, err := h.Conn.WatchKeys(ctx)
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
			h.Log.Error("not listening: no API key exists and other machines could reach "+h.Config.Listen,
				"remedy", "create a key with: osiris keys create --nats-url URL; or set OSIRIS_BOOTSTRAP_KEY, or --allow-anonymous")
			h.NotReady("no API key exists: create one with osiris keys create")
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}

func (p *part) Apply(_ context.Context, cfg *config.Config) error {
	return p.server.SetConfig(frontendConfig(cfg))
}

func (p *part) Stop(ctx context.Context) error {
	err := p.server.Shutdown(ctx)
	p.served.Wait()
	return err
}

func (p *part) Grace(cfg *config.Config) time.Duration { return cfg.Frontend.ShutdownGrace }
