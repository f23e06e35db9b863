//go:build !windows

package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "osiris")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// child is osiris up as a process.
type child struct {
	cmd      *exec.Cmd
	url, key string
	stderr   *output
}

func startChild(t *testing.T, binary string) *child {
	t.Helper()
	c := &child{cmd: exec.CommandContext(t.Context(), binary, "up", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--data-dir", t.TempDir()), stderr: newOutput()}
	c.cmd.Env = []string{"HOME=" + t.TempDir()}
	stdout := newOutput()
	c.cmd.Stdout, c.cmd.Stderr = stdout, c.stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := stdout.await(t, `"Hello!"`)
	c.url, c.key = regexp.MustCompile(`http://\S+/v1`).FindString(out), keyPattern.FindString(out)
	return c
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// slowStream begins a stream that takes about two seconds and returns it after its first event.
func (c *child) slowStream(t *testing.T, delay string) (*http.Response, *bufio.Reader) {
	t.Helper()
	body := `{"model":"echo?delay=` + delay + `&tokens=20","stream":true,"messages":[{"role":"user","content":"a b c"}]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(res.Body)
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "data: {") {
		t.Fatalf("first line %q, %v", line, err)
	}
	return res, r
}

// TestTermLetsAnswersFinish holds that SIGTERM ends the process with 0 once the
// answers under way are complete.
func TestTermLetsAnswersFinish(t *testing.T) {
	c := startChild(t, build(t))
	res, r := c.slowStream(t, "50ms")
	defer res.Body.Close()
	c.signal(t, syscall.SIGTERM)
	rest, err := io.ReadAll(r)
	if err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") || !strings.Contains(string(rest), `"finish_reason":"stop"`) && !strings.Contains(string(rest), `"finish_reason":"length"`) {
		t.Errorf("the stream did not finish: %v %s", err, rest)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("exit: %v; %s", err, c.stderr)
	}
}

// TestSecondSignalEndsAtOnce holds that nobody has to wait for the grace period.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	c := startChild(t, build(t))
	res, _ := c.slowStream(t, "5s")
	defer res.Body.Close()
	began := time.Now()
	c.signal(t, syscall.SIGTERM)
	c.stderr.await(t, "msg=stopping")
	c.signal(t, syscall.SIGTERM)
	err := c.cmd.Wait()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 130 {
		t.Errorf("exit: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}
