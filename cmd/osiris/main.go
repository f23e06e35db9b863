// The osiris program is one binary for people: osiris up runs NATS, a frontend and
// a worker in one process; the other commands are the operator's.
package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/service/batchpart"
	"github.com/osiris/osiris/internal/service/frontendpart"
	"github.com/osiris/osiris/internal/service/local"
	"github.com/osiris/osiris/internal/service/webhookpart"
	"github.com/osiris/osiris/internal/service/workerpart"
)

const name = "osiris"

// commands is the command line.
type commands struct {
	Up       up         `cmd:"" help:"Run everything in this process: NATS, a frontend and a worker."`
	Chat     chat       `cmd:"" help:"Ask a model; the answer comes as it is made, also over a connection that breaks."`
	Batch    batch      `cmd:"" help:"Submit files of requests, and collect what they come to."`
	Jobs     jobsCmd    `cmd:"" help:"Look into the queue: what became of a request; cancel it, run it again."`
	Keys     keys       `cmd:"" help:"Create, list and revoke API keys."`
	Webhooks webhooks   `cmd:"" help:"Create, list, delete and test webhooks, which are told of what has ended."`
	Bench    benchCmds  `cmd:"" help:"Measure Osiris, or any compatible server: time to first token, throughput, CPU, memory."`
	Config   configCmds `cmd:"" help:"Check a configuration."`
	Version  versionCmd `cmd:"" help:"Print the version."`

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

// command is one verb. It returns the exit code.
type command interface {
	run(ctx context.Context, std service.IO) int
}

func main() {
	os.Exit(service.Process(run))
}

// run is the program. It returns its exit code when ctx ended or the work is done.
func run(ctx context.Context, args []string, std service.IO) int {
	var c commands
	parsed, code, done := service.Parse(&c, name, description, args, std)
	if done {
		return code
	}
	if cmd, ok := reflect.TypeAssert[command](parsed.Selected().Target.Addr()); ok {
		return cmd.run(ctx, std)
	}
	fmt.Fprintln(std.Stderr, name+": no such command")
	return exitUsage
}

type versionCmd struct{}

func (versionCmd) run(_ context.Context, std service.IO) int {
	fmt.Fprintln(std.Stdout, name, service.Version())
	return 0
}

// modelsTime is how long the first words wait for providers to list their models.
const modelsTime = 700 * time.Millisecond

// upParts are what osiris up runs beside NATS.
func upParts() []service.Starter {
	return []service.Starter{
		webhookpart.Starter(),
		batchpart.Starter(),
		workerpart.Starter(),
		frontendpart.Starter(frontendpart.Options{FirstKey: true}),
	}
}

// up is osiris up.
type up struct {
	service.CommonFlags   `embed:""`
	service.AdminFlags    `embed:""`
	service.DataFlags     `embed:""`
	service.FrontendFlags `embed:""`
	service.WorkerFlags   `embed:""`

	NATSListen string `name:"nats-listen" help:"Address of the embedded NATS (127.0.0.1:0), or off." placeholder:"ADDR"`
}

func (c *up) run(ctx context.Context, std service.IO) int {
	options := config.Options{
		File: c.CommonFlags.Config, Environ: std.Environ,
		Overrides: slices.Concat(c.CommonFlags.Overrides(), c.AdminFlags.Overrides(), c.DataFlags.Overrides(),
			c.FrontendFlags.Overrides(), c.WorkerFlags.Overrides()),
	}
	if c.NATSListen != "" {
		options.Overrides = append(options.Overrides,
			config.Override{Path: "embedded.listen", Text: c.NATSListen, Source: "--nats-listen"})
	}
	cfg, ok := service.LoadConfig(name, options, std)
	if !ok {
		return exitFailed
	}
	if c.Healthcheck {
		return service.Healthcheck(ctx, cfg, std)
	}
	return service.Main(ctx, service.Params{
		Name: name, Options: options, Config: cfg,
		Parts:  upParts(),
		Server: local.Start,
		Ready: func(info service.Info) {
			wait, cancel := context.WithTimeout(ctx, modelsTime)
			defer cancel()
			welcome(std.Stdout, info, info.Models(wait), createHint(&c.CommonFlags, info.DataDir, std.Environ))
		},
	}, std)
}
