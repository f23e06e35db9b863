package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/osiris/osiris/internal/bench"
	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/service/batchpart"
	"github.com/osiris/osiris/internal/service/frontendpart"
	"github.com/osiris/osiris/internal/service/local"
	"github.com/osiris/osiris/internal/service/webhookpart"
	"github.com/osiris/osiris/internal/service/workerpart"
)

// benchKey is the API key of systems that live for a measurement, on loopback addresses.
const benchKey = "sk-osiris-bench-0123456789"

// benchStarter starts systems as processes of this program's own binary.
type benchStarter struct {
	binary  string
	environ []string // without what configures Osiris or its providers
}

func newBenchStarter(std service.IO) (*benchStarter, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	environ := slices.DeleteFunc(slices.Clone(std.Environ), func(entry string) bool {
		return slices.ContainsFunc([]string{"OSIRIS_", "OPENAI_", "ANTHROPIC_", "OLLAMA_"}, func(prefix string) bool { return strings.HasPrefix(entry, prefix) })
	})
	return &benchStarter{binary: binary, environ: environ}, nil
}

func (b *benchStarter) command(part string, environ []string, args ...string) bench.Command {
	return bench.Command{Name: part, Path: b.binary, Args: append([]string{"bench"}, args...), Environ: slices.Concat(b.environ, environ)}
}

// model starts the simulated model of a scenario.
func (b *benchStarter) model(ctx context.Context, s bench.Scenario) (*bench.Running, error) {
	p, err := bench.Start(ctx, b.command("model", nil, "model", "--child", "--listen", "127.0.0.1:0", "--name", benchModelName,
		"--ttft", s.FirstToken.String(), "--itl", s.Gap.String(), "--jitter", fmt.Sprint(s.Jitter)))
	if err != nil {
		return nil, err
	}
	return bench.NewRunning(bench.Target{URL: p.Said["url"] + "/v1", Model: benchModelName}, []*bench.Process{p}), nil
}

// system returns a system by its name.
func (b *benchStarter) system(name string) (bench.System, bool) {
	starts := map[string]func(ctx context.Context, model, dir string) (*bench.Running, error){
		"direct": func(_ context.Context, model, _ string) (*bench.Running, error) {
			return bench.NewRunning(bench.Target{URL: model, Model: benchModelName}, nil), nil
		},
		"floor": b.floor, "up": b.up, "apart": b.apart,
	}
	start, ok := starts[name]
	return bench.System{Name: name, Osiris: name == "up" || name == "apart", Start: start}, ok
}

func (b *benchStarter) floor(ctx context.Context, model, _ string) (*bench.Running, error) {
	p, err := bench.Start(ctx, b.command("floor", nil, "floor", "--child", "--listen", "127.0.0.1:0", "--target", strings.TrimSuffix(model, "/v1")))
	if err != nil {
		return nil, err
	}
	return bench.NewRunning(bench.Target{URL: p.Said["url"] + "/v1", Model: benchModelName}, []*bench.Process{p}), nil
}

// settings are those of every part of an Osiris that is measured: what people run, on
// ports of its own.
func settings(more ...string) []string {
	return append([]string{
		"OSIRIS_LISTEN=127.0.0.1:0", "OSIRIS_ADMIN_LISTEN=127.0.0.1:0", "OSIRIS_LOG_LEVEL=warn", "OSIRIS_BOOTSTRAP_KEY=" + benchKey,
	}, more...)
}

func provider(model string) []string {
	return []string{"OPENAI_BASE_URL=" + model, "OPENAI_API_KEY=none"}
}

func (b *benchStarter) up(ctx context.Context, model, dir string) (*bench.Running, error) {
	p, err := bench.Start(ctx, b.command("up", settings(append(provider(model), "OSIRIS_DATA_DIR="+dir)...), "part", "up"))
	if err != nil {
		return nil, err
	}
	return bench.NewRunning(bench.Target{URL: p.Said["api"], Key: benchKey, Model: benchModelName}, []*bench.Process{p}), nil
}

func (b *benchStarter) apart(ctx context.Context, model, dir string) (*bench.Running, error) {
	nats := func(before []*bench.Process) []string {
		return []string{"OSIRIS_NATS_URL=" + before[0].Said["nats"], "OSIRIS_NATS_TOKEN=" + before[0].Said["token"]}
	}
	all, err := bench.StartAll(
		ctx,
		func([]*bench.Process) bench.Command {
			return b.command("nats", settings("OSIRIS_DATA_DIR="+dir), "part", "nats")
		},
		func(before []*bench.Process) bench.Command {
			return b.command("worker", settings(append(provider(model), nats(before)...)...), "part", "worker")
		},
		func(before []*bench.Process) bench.Command {
			return b.command("frontend", settings(nats(before)...), "part", "frontend")
		},
	)
	if err != nil {
		return nil, err
	}
	return bench.NewRunning(bench.Target{URL: all[2].Said["api"], Key: benchKey, Model: benchModelName}, all), nil
}

// benchPart is a part of a measured Osiris. It is configured by the environment alone, and
// ends with its standard input.
type benchPart struct {
	Part string `arg:"" help:"up, nats, frontend or worker."`
}

func (c *benchPart) run(ctx context.Context, std service.IO) int {
	ctx, release := whileInput(ctx, std.Stdin)
	defer release()
	var token string // of a NATS, for the parts beside it
	params := service.Params{Name: "osiris-" + c.Part, Options: config.Options{Environ: std.Environ}}
	switch c.Part {
	case "up":
		params.Name, params.Server, params.Parts = name, local.Start, upParts()
	case "nats":
		params.Server = func(cfg *config.Config, environ []string, log *slog.Logger) (*service.Server, error) {
			server, err := local.Start(cfg, environ, log)
			if err == nil {
				token = server.Token
			}
			return server, err
		}
	case "frontend":
		params.Options.Program = config.FrontendOnly
		params.Parts = []service.Starter{webhookpart.Starter(), batchpart.Starter(), frontendpart.Starter(frontendpart.Options{})}
	case "worker":
		params.Options.Program = config.WorkerOnly
		params.Parts = []service.Starter{workerpart.Starter()}
	default:
		fmt.Fprintf(std.Stderr, "%s: there is no part %q\n", name, c.Part)
		return exitUsage
	}
	cfg, ok := service.LoadConfig(name, params.Options, std)
	if !ok {
		return exitFailed
	}
	params.Config = cfg
	params.Ready = func(info service.Info) { announce(std, info, token) }
	return service.Main(ctx, params, std)
}

// announce says what other parts, and those who measure, need to know.
func announce(std service.IO, info service.Info, token string) {
	line := bench.Announcement
	if info.API != nil {
		line += " api=http://" + service.Reachable(info.API) + "/v1"
	}
	if info.NATS != "" {
		line += " nats=" + info.NATS + " token=" + token
	}
	fmt.Fprintln(std.Stdout, line)
}
