package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/service"
)

// output is what a program wrote so far.
type output struct {
	mu      sync.Mutex
	b       bytes.Buffer
	written chan struct{} // has a value after each write
}

func newOutput() *output { return &output{written: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.written <- struct{}{}:
	default:
	}
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// await returns the output once it contains text.
func (o *output) await(t *testing.T, text string) string {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		if s := o.String(); strings.Contains(s, text) {
			return s
		}
		select {
		case <-o.written:
		case <-timeout:
			t.Fatalf("%q was not written; got: %s", text, o)
		}
	}
}

// program is osiris up inside the test.
type program struct {
	stdout, stderr *output
	cancel         context.CancelFunc
	code           chan int
}

func startUp(t *testing.T, environ []string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{stdout: newOutput(), stderr: newOutput(), cancel: cancel, code: make(chan int, 1)}
	args = append([]string{"up", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, args...)
	go func() { p.code <- run(ctx, args, service.IO{Environ: environ, Stdout: p.stdout, Stderr: p.stderr}) }()
	t.Cleanup(cancel)
	return p
}

func (p *program) stop(t *testing.T) {
	t.Helper()
	p.cancel()
	select {
	case code := <-p.code:
		if code != 0 {
			t.Errorf("exit code %d; stderr: %s", code, p.stderr)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("did not stop")
	}
}

var keyPattern = regexp.MustCompile(`sk-osiris-[A-Za-z0-9_-]+`)

func complete(t *testing.T, url, key, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(time.Minute); !is(); {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
