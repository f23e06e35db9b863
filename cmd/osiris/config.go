package main

import (
	"context"
	"fmt"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
)

type configCmds struct {
	Check configCheck `cmd:"" help:"Print every fault, or else the effective settings without their secrets."`
}

type configCheck struct {
	File     string `arg:"" optional:"" help:"Configuration file (OSIRIS_CONFIG)."`
	Frontend bool   `help:"Check as cmd/frontend reads it, which needs no provider keys."`
}

func (c *configCheck) run(_ context.Context, std service.IO) int {
	options := config.Options{File: c.File, Environ: std.Environ}
	if c.Frontend {
		options.Program = config.FrontendOnly
	}
	cfg, ok := service.LoadConfig(name, options, std)
	if !ok {
		return exitFailed
	}
	source := cfg.File
	if source == "" {
		source = "the environment"
	}
	for _, warning := range cfg.Warnings {
		fmt.Fprintf(std.Stderr, "%s: warning: %s\n", name, warning)
	}
	fmt.Fprintf(std.Stdout, "# %s is good. Effective settings:\n%s", source, cfg)
	return 0
}
