package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/service/batchpart"
	"github.com/osiris/osiris/internal/service/frontendpart"
	"github.com/osiris/osiris/internal/service/local"
	"github.com/osiris/osiris/internal/service/workerpart"
)

// options say how a system differs from the usual.
type options struct {
	env      []string // settings, such as OSIRIS_WORKER_SLOTS=1
	provider string   // more of the provider "up", as a YAML flow mapping without braces
	file     string   // more of the configuration file
}

// system is Osiris inside the test, its queue, and the model server behind it.
type system struct {
	*client
	model *model
	queue *queue
}

// start runs what osiris up runs. The model server is the provider "up".
func start(t *testing.T, o options) *system {
	t.Helper()
	m, dir := newModel(t), t.TempDir()
	file := configFile(t, m, o)
	info := run(t, everything(), file, append([]string{"OSIRIS_DATA_DIR=" + dir}, o.env...)).ready(t)
	return &system{
		client: newClient(t, "http://"+service.Reachable(info.API)+"/v1", info.NewKey),
		model:  m, queue: openQueue(t, dir),
	}
}

// everything is what osiris up runs.
func everything() service.Params {
	front := frontendpart.Starter(frontendpart.Options{FirstKey: true})
	return service.Params{Name: "osiris", Parts: []service.Starter{batchpart.Starter(), workerpart.Starter(), front}, Server: local.Start}
}

// configFile writes what cannot be said by variables.
func configFile(t *testing.T, m *model, o options) string {
	t.Helper()
	if o.provider != "" {
		o.provider = ", " + o.provider
	}
	text := fmt.Sprintf("providers:\n  up: {kind: openai, base_url: %q, key: %s, retries: {attempts: 1}%s}\n%s\n", m.URL+"/v1", modelKey, o.provider, o.file)
	file := filepath.Join(t.TempDir(), "osiris.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// usual are the settings of every program of these tests. Later ones win.
func usual() []string {
	return []string{
		"OSIRIS_LISTEN=127.0.0.1:0", "OSIRIS_ADMIN_LISTEN=off", "OSIRIS_LOG_LEVEL=warn",
		"OSIRIS_FRONTEND_SHUTDOWN_GRACE=5s", "OSIRIS_WORKER_SHUTDOWN_GRACE=5s", "OSIRIS_WORKER_BREAKER_FAILURES=0",
	}
}

// program is one that runs inside the test.
type program struct {
	info   chan service.Info
	cancel context.CancelFunc
	err    error
	ended  chan struct{}
}

// run starts a program. It is stopped when the test ends, which must succeed.
func run(t *testing.T, p service.Params, file string, env []string) *program {
	t.Helper()
	p.Options.File, p.Options.Environ = file, append(usual(), env...)
	cfg, err := config.Load(p.Options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &program{info: make(chan service.Info, 1), cancel: cancel, ended: make(chan struct{})}
	log := &testLog{t: t}
	p.Config, p.Stderr, p.Ready = cfg, log, func(i service.Info) { r.info <- i }
	go func() {
		defer close(r.ended)
		r.err = service.Run(ctx, p)
	}()
	t.Cleanup(func() {
		r.stop(t)
		log.close()
	})
	return r
}

func (r *program) ready(t *testing.T) service.Info {
	t.Helper()
	select {
	case info := <-r.info:
		return info
	case <-r.ended:
		t.Fatalf("ended before it was ready: %v", r.err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	return service.Info{}
}

// stop ends the program gracefully. It may be called again.
func (r *program) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	within(t, patience, "program ends", r.ended)
	if r.err != nil {
		t.Errorf("stopped with %v", r.err)
	}
}

// testLog writes the log of a program into that of its test.
type testLog struct {
	mu sync.Mutex
	t  *testing.T // nil once the test is over
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func (l *testLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t = nil
}

// idle waits until nothing is left of any request for the named models.
func (s *system) idle(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		s.model.awaitNone(t, name)
	}
	s.queue.await(t, 2*soon, 0)
}

// newHTTP is a client of its own, closed with the test.
func newHTTP(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
