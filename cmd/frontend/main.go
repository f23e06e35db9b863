// The frontend program turns HTTP requests into jobs. It is stateless: run any
// number of them, before or after NATS and the workers.
package main

import (
	"context"
	"os"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
)

const name = "frontend"

// flags are the command line.
type flags struct {
	service.CommonFlags   `embed:""`
	service.AdminFlags    `embed:""`
	service.FrontendFlags `embed:""`

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
	if _, code, done := service.Parse(&f, name, "Serves the OpenAI API over HTTP and puts each request into the queue.", args, std); done {
		return code
	}
	options := config.Options{
		Program: config.FrontendOnly, File: f.Config, Environ: std.Environ,
		Overrides: slices.Concat(f.CommonFlags.Overrides(), f.AdminFlags.Overrides(), f.FrontendFlags.Overrides()),
	}
	cfg, ok := service.LoadConfig(name, options, std)
	if !ok {
		return 1
	}
	if f.Healthcheck {
		return service.Healthcheck(ctx, cfg, std)
	}
	return service.Main(ctx, service.Params{Name: "osiris-" + name, Frontend: true, Options: options, Config: cfg}, std)
}
