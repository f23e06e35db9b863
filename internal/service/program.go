package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"

	"github.com/osiris/osiris/internal/config"
)

// IO is what a program has of the outside, so that tests can give it another.
type IO struct {
	Environ        []string
	Stdin          io.Reader // nil: nothing to read
	Stdout, Stderr io.Writer

	// Alone says that nothing else runs in this process: a program may set for how many
	// processors Go schedules.
	Alone bool
}

// Parse reads args into flags, a struct with kong tags. done says that the program
// is over with this exit code: help was asked for, or args are faulty.
func Parse(flags any, name, description string, args []string, std IO, more ...kong.Option) (parsed *kong.Context, code int, done bool) {
	exited := false
	options := append([]kong.Option{
		kong.Name(name), kong.Description(description), kong.UsageOnError(),
		kong.Writers(std.Stdout, std.Stderr),
		kong.Vars{"version": name + " " + Version()},
		kong.Exit(func(c int) { code, exited = c, true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	}, more...)
	parser, err := kong.New(flags, options...)
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
	if std.Alone {
		uuid.EnableRandPool() // ids are made of sixteen times as much randomness at once
		ctx, stop := context.WithCancel(ctx)
		var holding sync.WaitGroup
		holding.Go(func() { holdProcessors(ctx) })
		holding.Go(func() { holdGarbage(ctx) })
		defer holding.Wait()
		defer stop()
	}
	if err := Run(ctx, p); err != nil {
		fmt.Fprintf(std.Stderr, "%s: %v\n", p.Name, err)
		return 1
	}
	return 0
}

// Program is one that does nothing but run its parts.
type Program struct {
	Name, Description string

	Reads config.Program // whose settings are checked
	Flags interface{ Overrides() []config.Override }
	Parts []Starter
}

// programFlags are those of every Program, before its own.
type programFlags struct {
	CommonFlags `embed:""`
	AdminFlags  `embed:""`

	Version kong.VersionFlag `help:"Print the version."`
}

// Run returns the exit code when ctx ended or nothing was to run.
func (p Program) Run(ctx context.Context, args []string, std IO) int {
	var f programFlags
	if _, code, done := Parse(&f, p.Name, p.Description, args, std, kong.Embed(p.Flags)); done {
		return code
	}
	options := config.Options{
		Program: p.Reads, File: f.Config, Environ: std.Environ,
		Overrides: slices.Concat(f.CommonFlags.Overrides(), f.AdminFlags.Overrides(), p.Flags.Overrides()),
	}
	cfg, ok := LoadConfig(p.Name, options, std)
	if !ok {
		return 1
	}
	if f.Healthcheck {
		return Healthcheck(ctx, cfg, std)
	}
	return Main(ctx, Params{Name: "osiris-" + p.Name, Parts: p.Parts, Options: options, Config: cfg}, std)
}

// Process calls run as the process it is, with a context that signals end, and
// returns its exit code.
func Process(run func(ctx context.Context, args []string, std IO) int) int {
	ctx, stop := Signals(context.Background())
	defer stop()
	return run(ctx, os.Args[1:], IO{Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Alone: true})
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
