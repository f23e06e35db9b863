// The worker program takes jobs from the queue and calls models. Run any number of
// them, in pools, before or after NATS and the frontends.
package main

import (
	"context"
	"os"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
)

const name = "worker"

// flags are the command line.
type flags struct {
	service.CommonFlags `embed:""`
	service.AdminFlags  `embed:""`
	service.WorkerFlags `embed:""`

	Version kong.VersionFlag `help:"Print the version."`
}

func main() {
	ctx, stop := service.Signals(context.Background())
	code := run(ctx, os.Args[1:], service.IO{Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr})
	stop()
	os.Exit(code)
}

// run is the program. It returns its exit code when ctx ended or nothing was to run.
func run(ctx context.Context, args []string, std service.IO) int {
	var f flags
	if _, code, done := service.Parse(&f, name, "Takes jobs from the queue and calls the models.", args, std); done {
		return code
	}
	options := config.Options{
		Program: config.WorkerOnly, File: f.Config, Environ: std.Environ,
		Overrides: slices.Concat(f.CommonFlags.Overrides(), f.AdminFlags.Overrides(), f.WorkerFlags.Overrides()),
	}
	cfg, ok := service.LoadConfig(name, options, std)
	if !ok {
		return 1
	}
	if f.Healthcheck {
		return service.Healthcheck(ctx, cfg, std)
	}
	return service.Main(ctx, service.Params{Name: "osiris-" + name, Worker: true, Options: options, Config: cfg}, std)
}
