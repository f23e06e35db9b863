package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/osiris/osiris/internal/bench"
	"github.com/osiris/osiris/internal/bench/floor"
	"github.com/osiris/osiris/internal/bench/mockmodel"
	"github.com/osiris/osiris/internal/service"
)

// benchModelName is what simulated models are called.
const benchModelName = "bench"

// benchModel is osiris bench model.
type benchModel struct {
	Listen string `help:"Address to serve on." default:"127.0.0.1:9000" placeholder:"ADDR"`
	Name   string `help:"Name of the model that it lists; it answers to any." default:"bench" placeholder:"NAME"`

	modelTimes `embed:""`

	ErrorRate   float64 `help:"Share of requests, from 0 to 1, that are refused." placeholder:"SHARE"`
	ErrorStatus int     `help:"Status of the refusals; 429 and 503 come with Retry-After." default:"500" placeholder:"N"`
	CutRate     float64 `help:"Share of answers that break in the middle." placeholder:"SHARE"`
	HangRate    float64 `help:"Share of answers that fall silent in the middle, for good." placeholder:"SHARE"`

	Child bool `hidden:"" help:"End with the standard input."`
}

// Help is shown by osiris bench model --help.
func (*benchModel) Help() string {
	return `POST /v1/chat/completions, GET /v1/models, and GET /stats, which counts requests. What it says is a function of the request, so that osiris bench --verify model knows every byte of it; a request of osiris bench says itself how many tokens it wants.

  osiris bench model --ttft 200ms --itl 20ms --jitter 0.3 &
  OPENAI_BASE_URL=http://127.0.0.1:9000/v1 OPENAI_API_KEY=none osiris up
  osiris bench --url http://127.0.0.1:8080/v1 --key sk-osiris-… --model bench --kind stream -c 100 --process 'osiris up'`
}

func (c *benchModel) run(ctx context.Context, std service.IO) int {
	server, err := mockmodel.New(mockmodel.Config{
		Model: c.Name, Tokens: c.Tokens, Size: c.ChunkBytes, FirstToken: c.FirstToken, Gap: c.Gap, Jitter: c.Jitter,
		Refuse: c.ErrorRate, Cut: c.CutRate, Hang: c.HangRate, Status: c.ErrorStatus,
	})
	if err != nil {
		fmt.Fprintf(std.Stderr, "%s: %v\n", name, err)
		return exitUsage
	}
	return serveChild(ctx, std, c.Listen, c.Child, "simulated model", server.Serve)
}

// benchFloor is osiris bench floor.
type benchFloor struct {
	Listen string `help:"Address to serve on." default:"127.0.0.1:9001" placeholder:"ADDR"`
	Target string `help:"Base URL of the model's server, without /v1." required:"" placeholder:"URL"`

	Child bool `hidden:"" help:"End with the standard input."`
}

func (c *benchFloor) run(ctx context.Context, std service.IO) int {
	target, err := url.Parse(c.Target)
	if err != nil || target.Host == "" {
		fmt.Fprintf(std.Stderr, "%s: --target %q is no URL such as http://127.0.0.1:9000\n", name, c.Target)
		return exitUsage
	}
	return serveChild(ctx, std, c.Listen, c.Child, "proxy", func(ctx context.Context, ln net.Listener) error {
		server := &http.Server{Handler: floor.Handler(target), ReadHeaderTimeout: time.Minute}
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("proxy: %w", err)
		}
		return nil
	})
}

// serveChild serves on an address until ctx ends; a child ends with its standard input as
// well, and announces itself for programs.
func serveChild(ctx context.Context, std service.IO, address string, child bool, what string, serve func(context.Context, net.Listener) error) int {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintf(std.Stderr, "%s: %v\n", name, service.ListenError(what, address, "--listen", err))
		return exitFailed
	}
	base := "http://" + service.Reachable(ln.Addr())
	if child {
		var release func()
		ctx, release = whileInput(ctx, std.Stdin)
		defer release()
		fmt.Fprintf(std.Stdout, "%s url=%s\n", bench.Announcement, base)
	} else {
		fmt.Fprintf(std.Stdout, "%s at %s/v1\n", what, base)
	}
	if err := serve(ctx, ln); err != nil {
		fmt.Fprintf(std.Stderr, "%s: %v\n", name, err)
		return exitFailed
	}
	return 0
}

// whileInput returns a context that ends with r. Its goroutine waits in a read that
// nothing interrupts, and so ends with the process.
func whileInput(ctx context.Context, r io.Reader) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	if r == nil {
		return ctx, cancel
	}
	go func() {
		_, _ = io.Copy(io.Discard, r)
		cancel()
	}()
	return ctx, cancel
}
