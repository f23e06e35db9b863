package main

import (
	"context"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/osiris/osiris/internal/service"
)

// Every command keeps to the table of exit codes.
func TestExitCodes(t *testing.T) {
	r := startRig(t)
	api := []string{"OSIRIS_BASE_URL=" + r.url, "OSIRIS_API_KEY=" + r.key}
	nobody := []string{"OSIRIS_BASE_URL=http://127.0.0.1:1/v1"}
	faulty := writeFile(t, "osiris.yaml", "listen: [\n")
	queue := "--data-dir=" + r.dir
	missing := "--data-dir=" + filepath.Join(t.TempDir(), "none")
	id := strings.Repeat("0", 32)
	for _, c := range []struct {
		code    int
		environ []string
		args    []string
	}{
		{exitDone, nil, []string{"version"}},
		{exitDone, nil, []string{"--version"}},
		{exitDone, nil, []string{"jobs", "retry", "--help"}},
		{exitUsage, nil, nil},
		{exitUsage, nil, []string{"dance"}},
		{exitUsage, nil, []string{"jobs"}},
		{exitUsage, nil, []string{"up", "--nothing"}},
		{exitUsage, nil, []string{"jobs", "list", "--limit", "0"}},
		{exitUsage, nil, []string{"batch", "list", "--limit=-1"}},
		{exitFailed, nil, []string{"up", "--config", faulty}},
		{exitFailed, nil, []string{"up", "--healthcheck", "--admin-listen", "127.0.0.1:1"}},
		{exitDone, nil, []string{"config", "check"}},
		{exitFailed, nil, []string{"config", "check", faulty}},
		{exitDone, api, []string{"chat", "-m", "echo", "Hello!"}},
		{exitFailed, api, []string{"chat", "-m", "nobody", "Hello!"}},
		{exitFailed, nobody, []string{"chat", "-m", "echo", "Hello!"}},
		{exitUsage, api, []string{"chat", "Hello!"}},
		{exitUsage, nil, []string{"chat", "-m", "echo", "--base-url", "here", "Hello!"}},
		{exitDone, api, []string{"batch", "list"}},
		{exitFailed, nobody, []string{"batch", "list"}},
		{exitFailed, api, []string{"batch", "get", "batch_" + id}},
		{exitFailed, api, []string{"batch", "cancel", "batch_" + id}},
		{exitFailed, api, []string{"batch", "results", "batch_" + id}},
		{exitFailed, api, []string{"batch", "submit", "nothing.jsonl"}},
		{exitUsage, api, []string{"batch", "submit", writeFile(t, "bad.jsonl", "x\n")}},
		{exitUsage, api, []string{"batch", "submit", writeFile(t, "p.txt", "x\n")}},
		{exitDone, nil, []string{"jobs", "list", queue}},
		{exitFailed, nil, []string{"jobs", "list", missing}},
		{exitFailed, nil, []string{"jobs", "list", queue, "--config", faulty}},
		{exitUsage, nil, []string{"jobs", "list", queue, "--since", "soon"}},
		{exitUsage, nil, []string{"jobs", "show", queue, "x"}},
		{exitFailed, nil, []string{"jobs", "show", queue, id}},
		{exitFailed, nil, []string{"jobs", "cancel", queue, id}},
		{exitFailed, nil, []string{"jobs", "retry", queue, id}},
		{exitDone, nil, []string{"keys", "create", queue, "--name", "k"}},
		{exitUsage, nil, []string{"keys", "create", queue, "--expires", "never"}},
		{exitDone, nil, []string{"keys", "list", queue}},
		{exitDone, nil, []string{"keys", "revoke", queue, "k"}},
		{exitFailed, nil, []string{"keys", "revoke", queue, "nobody"}},
		{exitUsage, nil, []string{"webhooks", "create", queue, "http://example.com/"}},
		{exitDone, nil, []string{"webhooks", "list", queue}},
		{exitFailed, nil, []string{"webhooks", "delete", queue, "wh_x"}},
		{exitFailed, nil, []string{"webhooks", "test", queue, "wh_x"}},
	} {
		got := runCommand(t, c.environ, "", c.args...)
		if got.code != c.code || c.code > exitFailed && got.stderr == "" {
			t.Errorf("%v: %d, want %d: %+v", c.args, got.code, c.code, got)
		}
	}
	interrupted, cancel := context.WithCancelCause(t.Context())
	cancel(service.ErrSignal)
	for _, args := range [][]string{
		{"chat", "-m", "echo?first=20s", "Hello!"}, {"batch", "list"}, {"batch", "submit", "-"}, {"jobs", "list", queue}, {"keys", "list", queue}, {"webhooks", "list", queue},
	} {
		stdin, end := io.Pipe() // nothing comes
		if code := run(interrupted, args, service.IO{Environ: api, Stdin: stdin, Stdout: io.Discard, Stderr: io.Discard}); code != exitInterrupted {
			t.Errorf("%v, interrupted: %d", args, code)
		}
		end.Close()
	}
}

// The table in the README is that of the code.
func TestExitCodesAreDocumented(t *testing.T) {
	readme := readFile(t, filepath.Join("..", "..", "README.md"))
	for _, code := range []string{"0", "1", "2", "3", "130"} {
		if !regexp.MustCompile(`(?m)^\| ` + code + ` \| \S`).MatchString(readme) {
			t.Errorf("exit code %s is not in README.md", code)
		}
	}
}

// The help of every command says how it is used.
func TestHelpHasExamples(t *testing.T) {
	var c commands
	parser, err := kong.New(&c, kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range parser.Model.Leaves(true) {
		path := strings.Fields(leaf.Path())
		got := runCommand(t, nil, "", append(path, "--help")...)
		example := regexp.MustCompile(`(?m)^ {4}.*osiris ` + path[0])
		if got.code != exitDone || !strings.Contains(got.stdout, "osiris "+strings.Join(path, " ")) || !example.MatchString(got.stdout) {
			t.Errorf("%v: %+v", path, got)
		}
	}
}
