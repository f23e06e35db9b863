package service_test

import (
	"context"
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
)

// TestProgram holds what a program does with its command line before it runs.
func TestProgram(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	program := service.Program{
		Name: "worker", Description: "Takes jobs.", Reads: config.WorkerOnly,
		Flags: &service.WorkerFlags{}, Parts: workerAlone().Parts,
	}
	for _, c := range []struct {
		args, says string
		code       int
	}{
		{"--help", "--slots", 0},
		{"--help", "--nats-url", 0},
		{"--version", "worker ", 0},
		{"--listen x", "unknown flag --listen", 2},
		{"--slots=-1", "worker.slots", 1},
		{"--pool a.b", "--pool", 1},
		{"--healthcheck --admin-listen 127.0.0.1:1", "not ready", 1},
		{"--nats-url nats://127.0.0.1:1 --admin-listen off", "", 0}, // told to stop before it began,
	} {
		var out strings.Builder
		code := program.Run(ended, strings.Fields(c.args), service.IO{Stdout: &out, Stderr: &out})
		if code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: exit code %d, %q; want %d, %q", c.args, code, out.String(), c.code, c.says)
		}
	}
}
