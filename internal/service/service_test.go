package service_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/embedded"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/service/frontendpart"
	"github.com/osiris/osiris/internal/service/local"
	"github.com/osiris/osiris/internal/service/workerpart"
	"github.com/osiris/osiris/pkg/jobs"
)

// fasthttp keeps a clock for ever, and each server's pool a sweeper for ten seconds
// after the server stopped.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

func workerAlone() service.Params {
	return service.Params{Name: "osiris-worker", Parts: []service.Starter{workerpart.Starter()}}
}

func frontendAlone() service.Params {
	return service.Params{Name: "osiris-frontend", Parts: []service.Starter{frontendpart.Starter(frontendpart.Options{})}}
}

// everything is what osiris up runs.
func everything() service.Params {
	front := frontendpart.Starter(frontendpart.Options{FirstKey: true})
	return service.Params{Name: "osiris", Parts: []service.Starter{workerpart.Starter(), front}, Server: local.Start}
}

// running is a program inside the test.
type running struct {
	info   chan service.Info
	cancel context.CancelFunc
	err    chan error
}

func begin(t *testing.T, p service.Params, environ []string, file string) *running {
	t.Helper()
	p.Options.Environ, p.Options.File = environ, file
	cfg, err := config.Load(p.Options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r := &running{info: make(chan service.Info, 1), cancel: cancel, err: make(chan error, 1)}
	p.Config, p.Stderr, p.Ready = cfg, &testWriter{t: t}, func(i service.Info) { r.info <- i }
	go func() { r.err <- service.Run(ctx, p) }()
	return r
}

// testWriter logs until the test is over.
type testWriter struct {
	mu sync.Mutex
	t  *testing.T
}

func (w *testWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func (r *running) ready(t *testing.T) service.Info {
	t.Helper()
	select {
	case i := <-r.info:
		return i
	case err := <-r.err:
		t.Fatalf("ended before it was ready: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("not ready")
	}
	return service.Info{}
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.err:
		if err != nil {
			t.Errorf("stopped with %v", err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("did not stop")
	}
}

func ask(t *testing.T, api net.Addr, key, model string) (int, string) {
	t.Helper()
	body := `{"model":"` + model + `","messages":[{"role":"user","content":"Hello!"}]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+service.Reachable(api)+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	return fetch(t, req)
}

func fetch(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestApartInAnyOrder starts a frontend and a worker before there is a NATS.
func TestApartInAnyOrder(t *testing.T) {
	nats, dir := freeAddress(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("known"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{
		"OSIRIS_NATS_URL=nats://" + nats, "OSIRIS_NATS_TOKEN=known", "OSIRIS_LISTEN=127.0.0.1:0",
		"OSIRIS_ADMIN_LISTEN=127.0.0.1:0", "OSIRIS_BOOTSTRAP_KEY=sk-osiris-test-key",
	}
	frontend := begin(t, frontendAlone(), environ, "")
	worker := begin(t, workerAlone(), environ, "")
	server, err := embedded.Start(embedded.Config{Dir: dir, Listen: nats})
	if err != nil {
		t.Fatal(err)
	}
	info := frontend.ready(t)
	worker.ready(t)
	if code, body := ask(t, info.API, "sk-osiris-test-key", "echo"); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	frontend.stop(t)
	worker.stop(t)
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
}

func TestStopWhileWaitingForNATS(t *testing.T) {
	environ := []string{"OSIRIS_NATS_URL=nats://" + freeAddress(t), "OSIRIS_ADMIN_LISTEN=off"}
	begin(t, workerAlone(), environ, "").stop(t)
}

// TestReload changes the models of a running program, and breaks its file.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "osiris.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("models: {one: {targets: [{provider: echo, model: echo}]}}\n")
	environ := []string{"OSIRIS_LISTEN=127.0.0.1:0", "OSIRIS_ADMIN_LISTEN=off", "OSIRIS_DATA_DIR=" + dir}
	r := begin(t, everything(), environ, file)
	info := r.ready(t)
	await := func(model string, want int) {
		t.Helper()
		deadline := time.Now().Add(time.Minute)
		for {
			code, body := ask(t, info.API, info.NewKey, model)
			if code == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d, want %d: %s", model, code, want, body)
			}
		}
	}
	await("one", 200)
	slow := make(chan int, 1)
	go func() {
		code, _ := ask(t, info.API, info.NewKey, "echo?first=2s")
		slow <- code
	}()
	write("models: {two: {targets: [{provider: echo, model: echo}]}}\n")
	await("two", 200)
	await("one", 404)
	write("models: {three: {targets: [{provider: nobody}]}}\n")
	if code := <-slow; code != 200 {
		t.Errorf("the request that ran during the reload: %d", code)
	}
	await("two", 200)
	r.stop(t)
}

// TestNoKeyNoListening holds that a frontend without keys does not listen beyond
// this machine, says so, and begins once a key exists.
func TestNoKeyNoListening(t *testing.T) {
	dir := t.TempDir()
	server, err := embedded.Start(embedded.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(freeAddress(t))
	admin := freeAddress(t)
	environ := []string{
		"OSIRIS_NATS_URL=" + server.URL(), "OSIRIS_NATS_TOKEN=" + server.Token(),
		"OSIRIS_LISTEN=0.0.0.0:" + port, "OSIRIS_ADMIN_LISTEN=" + admin,
	}
	frontend := begin(t, frontendAlone(), environ, "")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if c, err := net.Dial("tcp", admin); err == nil {
			c.Close()
			if code, body := fetch(t, req); code == 503 && strings.Contains(body, "osiris keys create") {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not say that a key is missing")
		}
	}
	if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		c.Close()
		t.Error("it listens without a key")
	}
	cfg, err := config.Load(config.Options{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	q, err := local.OpenQueue(t.Context(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.CreateKey(t.Context(), jobs.KeySpec{Name: "late", Tenant: "default"}); err != nil {
		t.Fatal(err)
	}
	info := frontend.ready(t)
	if _, got, _ := net.SplitHostPort(info.API.String()); got != port {
		t.Errorf("listens on %s", info.API)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	frontend.stop(t)
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
}
