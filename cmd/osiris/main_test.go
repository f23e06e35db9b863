package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/osiris/osiris/internal/service"
)

// fasthttp keeps a clock for ever, and each server's pool a sweeper for ten seconds
// after the server stopped.
func TestMain(m *testing.M) {
	if os.Getenv(asOsiris) != "" { // started by osiris bench
		os.Exit(service.Process(run))
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

const (
	plain  = `{"model":"echo","messages":[{"role":"user","content":"Hello!"}]}`
	stream = `{"model":"echo","stream":true,"messages":[{"role":"user","content":"Hello!"}]}`
)

// TestUp is the first minute of a newcomer, and the second start.
func TestUp(t *testing.T) {
	dir := t.TempDir()
	p := startUp(t, nil, "--data-dir", dir)
	out := p.stdout.await(t, `"Hello!"`)
	url := regexp.MustCompile(`http://\S+/v1`).FindString(out)
	key := keyPattern.FindString(out)
	if !strings.Contains(out, "curl "+url+`/chat/completions -H "Authorization: Bearer `+key+`"`) || !strings.Contains(out, dir) || !strings.Contains(out, "echo") {
		t.Errorf("welcome lacks something: %s", out)
	}
	if code, answer := complete(t, url, key, plain); code != 200 || !strings.Contains(answer, `"content":"Hello!"`) {
		t.Errorf("plain: %d %s", code, answer)
	}
	code, answer := complete(t, url, key, stream)
	if code != 200 || !strings.Contains(answer, `"content":"Hello"`) || !strings.HasSuffix(answer, "data: [DONE]\n\n") {
		t.Errorf("stream: %d %s", code, answer)
	}
	if code, _ := complete(t, url, "sk-osiris-wrong", plain); code != 401 {
		t.Errorf("wrong key: %d", code)
	}
	secret := keysWhileRunning(t, dir, url)
	p.stop(t)
	if strings.Contains(p.stderr.String(), key) || strings.Contains(p.stderr.String(), "Hello") {
		t.Errorf("the log holds a key or a prompt: %s", p.stderr)
	}

	again := startUp(t, nil, "--data-dir", dir)
	out = again.stdout.await(t, "osiris keys create --name NAME --data-dir "+dir+"\n")
	if strings.Contains(out, "sk-osiris-") {
		t.Errorf("a later start prints a key: %s", out)
	}
	url = regexp.MustCompile(`http://\S+/v1`).FindString(out)
	for _, k := range []string{key, secret} {
		if code, answer := complete(t, url, k, plain); code != 200 {
			t.Errorf("a key from before: %d %s", code, answer)
		}
	}
	again.stop(t)
}

// keysWhileRunning makes a key through connection.json and returns its secret.
func keysWhileRunning(t *testing.T, dir, url string) string {
	t.Helper()
	stdout, stderr := newOutput(), newOutput()
	code := run(t.Context(), []string{"keys", "create", "--name", "bob", "--data-dir", dir}, service.IO{Stdout: stdout, Stderr: stderr})
	secret := keyPattern.FindString(stdout.String())
	if code != 0 || secret == "" {
		t.Fatalf("keys create: %d %s %s", code, stdout, stderr)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if code, answer := complete(t, url, secret, plain); code == 200 {
			return secret
		} else if time.Now().After(deadline) {
			t.Fatalf("the new key is not accepted: %d %s", code, answer)
		}
	}
}

func TestBootstrapKey(t *testing.T) {
	dir := t.TempDir()
	environ := []string{"OSIRIS_BOOTSTRAP_KEY=my-very-own-secret-key", "OSIRIS_DATA_DIR=" + dir}
	for range 2 {
		p := startUp(t, environ)
		out := p.stdout.await(t, "\n\n  API")
		if strings.Contains(out, "my-very-own") {
			t.Errorf("the preset key is printed: %s", out)
		}
		url := regexp.MustCompile(`http://\S+/v1`).FindString(out)
		if code, answer := complete(t, url, "my-very-own-secret-key", plain); code != 200 {
			t.Errorf("%d %s", code, answer)
		}
		p.stop(t)
	}
	stdout := newOutput()
	run(t.Context(), []string{"keys", "list"}, service.IO{Environ: environ, Stdout: stdout, Stderr: io.Discard})
	if n := strings.Count(stdout.String(), "bootstrap"); n != 1 {
		t.Errorf("%d bootstrap keys after two starts: %s", n, stdout)
	}

	if code := run(t.Context(), []string{"keys", "revoke", "bootstrap"}, service.IO{Environ: environ, Stdout: io.Discard, Stderr: io.Discard}); code != 0 {
		t.Fatalf("revoke: %d", code)
	}
	p := startUp(t, environ)
	url := regexp.MustCompile(`http://\S+/v1`).FindString(p.stdout.await(t, "another one"))
	if code, _ := complete(t, url, "my-very-own-secret-key", plain); code != 401 {
		t.Errorf("the revoked key: %d", code)
	}
	p.stop(t)
	if log := p.stderr.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "revoked key") || strings.Contains(log, "my-very-own") {
		t.Errorf("the log does not warn once of the revoked key: %s", log)
	}
}

func TestSecondProcessOnTheData(t *testing.T) {
	dir := t.TempDir()
	p := startUp(t, nil, "--data-dir", dir)
	p.stdout.await(t, "Try it")
	second := startUp(t, nil, "--data-dir", dir)
	if code := <-second.code; code != 1 || !strings.Contains(second.stderr.String(), "in use by process") {
		t.Errorf("exit code %d: %s", code, second.stderr)
	}
	p.stop(t)
}

// TestCommands runs commands that need no server.
func TestCommands(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	for file, text := range map[string]string{
		good: "worker: {slots: 5}\nproviders: {a: {kind: openai, key: hunter2}}\n",
		bad:  "wroker: {}\nlisten: x\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, missing := filepath.Join(dir, "data"), filepath.Join(dir, "missing")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args           []string
		environ        []string
		code           int
		stdout, stderr []string
	}{
		{args: []string{"version"}, stdout: []string{"osiris "}},
		{args: []string{"--version"}, stdout: []string{"osiris "}},
		{args: []string{"--help"}, stdout: []string{"up", "keys", "config"}},
		{args: []string{"up", "--help"}, stdout: []string{"--data-dir", "--nats-listen", "--allow-anonymous"}},
		{args: nil, code: 2, stderr: []string{"osiris --help"}},
		{args: []string{"fly"}, code: 2, stderr: []string{"fly"}},
		{args: []string{"up", "--lisen=x"}, code: 2, stderr: []string{"--lisen"}},
		{args: []string{"config", "check", good}, stdout: []string{"worker.slots: 5", "providers.a.key: [redacted]"}},
		{args: []string{"config", "check"}, environ: []string{"OSIRIS_CONFIG=" + good}, stdout: []string{"worker.slots: 5"}},
		{args: []string{"config", "check", bad}, code: 1, stderr: []string{"2 faults", "bad.yaml:1: wroker", "bad.yaml:2: listen"}},
		{args: []string{"up", "--config", bad}, code: 1, stderr: []string{"bad.yaml:1", "bad.yaml:2"}},
		{args: []string{"up", "--slots=-5"}, code: 1, stderr: []string{"--slots: worker.slots: -5 is too small"}},
		{args: []string{"up", "--listen", taken.Addr().String(), "--data-dir", data}, code: 1, stderr: []string{"is in use by another program", "--listen"}},
		{args: []string{"up", "--listen", "127.0.0.1:0", "--admin-listen", taken.Addr().String(), "--data-dir", data}, code: 1, stderr: []string{"admin port", "--admin-listen"}},
		{args: []string{"keys", "list", "--data-dir", data}, stdout: []string{"no keys", "osiris keys create --name NAME --data-dir " + data + "\n"}},
		{args: []string{"keys", "list", "--data-dir", missing}, code: 1, stderr: []string{"no data folder " + missing, "osiris up", "--data-dir", "--nats-url"}},
		{args: []string{"keys", "create", "--data-dir", missing}, code: 1, stderr: []string{"no data folder " + missing}},
		{args: []string{"keys", "revoke", "n", "--data-dir", missing}, code: 1, stderr: []string{"no data folder " + missing}},
		{args: []string{"keys", "create", "--data-dir", data, "--name", "n", "--tenant", "t", "--models", "a,b", "--expires", "30d"}, stdout: []string{"sk-osiris-"}, stderr: []string{"tenant t"}},
		{args: []string{"keys", "create", "--data-dir", data, "--expires", "yesterday"}, code: 2, stderr: []string{"--expires"}},
		{args: []string{"keys", "create", "--data-dir", data, "--expires", "2001-01-01"}, code: 2, stderr: []string{"over already"}},
		{args: []string{"keys", "list"}, environ: []string{"OSIRIS_DATA_DIR=" + data}, stdout: []string{"a,b", "active until"}},
		{args: []string{"keys", "revoke", "n", "--data-dir", data}, stdout: []string{"is revoked"}},
		{args: []string{"keys", "revoke", "nobody", "--data-dir", data}, code: 1, stderr: []string{"nobody"}},
		{args: []string{"keys", "list", "--data-dir", data}, stdout: []string{"revoked"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			stdout, stderr := newOutput(), newOutput()
			code := run(t.Context(), c.args, service.IO{Environ: c.environ, Stdout: stdout, Stderr: stderr})
			if code != c.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, c.code, stdout, stderr)
			}
			for _, want := range c.stdout {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("stdout lacks %q: %s", want, stdout)
				}
			}
			for _, want := range c.stderr {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("stderr lacks %q: %s", want, stderr)
				}
			}
			if strings.Contains(stdout.String()+stderr.String(), "hunter2") {
				t.Error("a secret is printed")
			}
		})
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Errorf("a command made the folder: %v", err)
	}
}
