package bench

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/embedded"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/service/frontendpart"
	"github.com/osiris/osiris/internal/service/local"
	"github.com/osiris/osiris/internal/service/workerpart"
)

// osiris runs what osiris up runs until b ends, with the model server as its provider,
// and returns its address.
func osiris(b *testing.B, model string) string {
	base, stop := up(b, b.TempDir(), true, "OPENAI_BASE_URL="+model+"/v1")
	b.Cleanup(stop)
	return base
}

// up runs NATS and a frontend, and a worker if asked to, until stop.
func up(b *testing.B, dir string, withWorker bool, environ ...string) (base string, stop func()) {
	parts := []service.Starter{frontendpart.Starter(frontendpart.Options{FirstKey: true})}
	if withWorker {
		parts = slices.Insert(parts, 0, workerpart.Starter()) // stopped last
	}
	info, stop := run(b, config.All, true, parts, append(environ, "OSIRIS_DATA_DIR="+dir)...)
	return "http://" + service.Reachable(info.API), stop
}

// worker runs a worker of its own beside what has the data folder, until stop.
func worker(b *testing.B, dir, model string, environ ...string) (stop func()) {
	nats, err := embedded.ReadConnection(dir)
	if err != nil {
		b.Fatal(err)
	}
	_, stop = run(b, config.WorkerOnly, false, []service.Starter{workerpart.Starter()}, append(environ,
		"OPENAI_BASE_URL="+model+"/v1", "OSIRIS_NATS_URL="+nats.URL, "OSIRIS_NATS_TOKEN="+nats.Token)...)
	return stop
}

// run starts a program with a NATS inside, or one that finds NATS elsewhere, and returns
// once it is ready. stop ends it.
func run(b *testing.B, program config.Program, inside bool, parts []service.Starter, environ ...string) (info service.Info, stop func()) {
	options := config.Options{Program: program, Environ: append([]string{
		"OSIRIS_BOOTSTRAP_KEY=" + key, "OSIRIS_LISTEN=127.0.0.1:0", "OSIRIS_ADMIN_LISTEN=off", "OSIRIS_LOG_LEVEL=error",
		"OSIRIS_EMBEDDED_LISTEN=127.0.0.1:0",
	}, environ...)}
	cfg, err := config.Load(options)
	if err != nil {
		b.Fatal(err)
	}
	params := service.Params{Name: "bench", Config: cfg, Parts: parts, Options: options, Stderr: b.Output()}
	if inside {
		params.Server = local.Start
	}
	ready := make(chan service.Info, 1)
	params.Ready = func(i service.Info) { ready <- i }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx, params) }()
	select {
	case info = <-ready:
	case err := <-ended:
		cancel()
		b.Fatalf("not started: %v", err)
	}
	return info, sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
}
