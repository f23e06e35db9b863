package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"

	"github.com/osiris/osiris/internal/config"
)

// IO is what a program has of the outside, so that tests can give it another.
type IO struct {
	Environ        []string
	Stdout, Stderr io.Writer
}

// Parse reads args into flags, a struct with kong tags. done says that the program
// is over with this exit code: help was asked for, or args are faulty.
func Parse(flags any, name, description string, args []string, std IO) (parsed *kong.Context, code int, done bool) {
	exited := false
	parser, err := kong.New(flags,
		kong.Name(name), kong.Description(description), kong.UsageOnError(),
		kong.Writers(std.Stdout, std.Stderr),
		kong.Vars{"version": name + " " + Version()},
		kong.Exit(func(c int) { code, exited = c, true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	if err != nil {
		fmt.Fprintln(std.Stderr, name+":", err)
		return nil, 2, true
	}
	parsed, err = parser.Parse(args)
	switch {
	case exited: // help or version; kong goes on after it
		return nil, code, true
	case err != nil:
		fmt.Fprintf(std.Stderr, "%s: %v\nRun %s --help for the commands and flags.\n", name, err, name)
		return nil, 2, true
	}
	return parsed, 0, false
}

// LoadConfig reads the configuration and writes its faults, if any, to stderr.
func LoadConfig(name string, o config.Options, std IO) (*config.Config, bool) {
	cfg, err := config.Load(o)
	if err == nil {
		return cfg, true
	}
	faults, _ := errors.AsType[config.Faults](err)
	fmt.Fprintf(std.Stderr, "%s: the configuration has %s:\n", name, count(len(faults), "fault"))
	fmt.Fprintln(std.Stderr, err)
	return nil, false
}

// Main runs a program to its end and returns its exit code.
func Main(ctx context.Context, p Params, std IO) int {
	p.Stderr = std.Stderr
	if err := Run(ctx, p); err != nil {
		fmt.Fprintf(std.Stderr, "%s: %v\n", p.Name, err)
		return 1
	}
	return 0
}

// stamp is the version that a release or an image was built as, set by the linker:
// -X github.com/osiris/osiris/internal/service.stamp=v1.2.3. Nothing else writes it.
var stamp string

// Version is the stamped version, else the module's as the go command recorded it.
func Version() string {
	version := stamp
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		version = info.Main.Version
	}
	if version == "" {
		version = "(devel)"
	}
	return version + " " + runtime.Version()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
