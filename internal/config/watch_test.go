package config

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watched runs a Watcher over a file until the test ends.
type watched struct {
	file    string
	applied chan *Config
	looked  chan bool
	hangup  chan os.Signal
	log     *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func watch(t *testing.T, file string) *watched {
	t.Helper()
	w := &watched{file: file, applied: make(chan *Config, 16), looked: make(chan bool, 16), hangup: make(chan os.Signal), log: &safeBuffer{}}
	o := Options{File: file}
	cfg, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		(&Watcher{
			Options: o, Current: cfg, Hangup: w.hangup, Every: 5 * time.Millisecond,
			Apply:  func(c *Config) error { w.applied <- c; return nil },
			Looked: func(applied bool) { w.looked <- applied },
			Logger: slog.New(slog.NewTextHandler(w.log, nil)),
		}).Run(ctx)
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

func (w *watched) await(t *testing.T, want bool) {
	t.Helper()
	select {
	case applied := <-w.looked:
		if applied != want {
			t.Fatalf("applied %t, want %t; log: %s", applied, want, w.log)
		}
	case <-time.After(time.Minute):
		t.Fatal("the change was not noticed")
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	temp := file + ".new"
	if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, file); err != nil {
		t.Fatal(err)
	}
}

func TestChangedFileIsApplied(t *testing.T) {
	file := filepath.Join(t.TempDir(), "osiris.yaml")
	write(t, file, "worker: {slots: 1}\n")
	w := watch(t, file)
	write(t, file, "worker: {slots: 22}\nlisten: \":1\"\n")
	w.await(t, true)
	if got := (<-w.applied).Worker.Slots; got != 22 {
		t.Errorf("slots %d", got)
	}
	if !strings.Contains(w.log.String(), "wait for a restart") || !strings.Contains(w.log.String(), "listen") {
		t.Errorf("log does not name what needs a restart: %s", w.log)
	}
}

func TestFaultyFileIsRefusedAndTheOldGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "osiris.yaml")
	write(t, file, "worker: {slots: 1}\n")
	w := watch(t, file)
	write(t, file, "worker: {slots: none}\nlissten: x\n")
	w.await(t, false)
	if len(w.applied) != 0 {
		t.Error("a faulty file was applied")
	}
	for _, want := range []string{"osiris.yaml:1: worker.slots", "osiris.yaml:2: lissten"} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("log lacks %q: %s", want, w.log)
		}
	}
	write(t, file, "worker: {slots: 333}\n")
	w.await(t, true)
	if got := (<-w.applied).Worker.Slots; got != 333 {
		t.Errorf("slots %d after the repair", got)
	}
}

func TestRemovedFileIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "osiris.yaml")
	write(t, file, "worker: {slots: 1}\n")
	w := watch(t, file)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	w.await(t, false)
	write(t, file, "worker: {slots: 2}\n")
	w.await(t, true)
}

// TestSymlinkSwap changes the file as Kubernetes changes a mounted ConfigMap.
func TestSymlinkSwap(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"v1": "worker: {slots: 1}\n", "v2": "worker: {slots: 2}\n"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "osiris.yaml"), text)
	}
	same := time.Unix(1e9, 0) // neither time nor size tells them apart
	for _, name := range []string{"v1", "v2"} {
		if err := os.Chtimes(filepath.Join(dir, name, "osiris.yaml"), same, same); err != nil {
			t.Fatal(err)
		}
	}
	link(t, dir, "v1")
	file := filepath.Join(dir, "osiris.yaml")
	if err := os.Symlink(filepath.Join("..data", "osiris.yaml"), file); err != nil {
		t.Fatal(err)
	}
	w := watch(t, file)
	link(t, dir, "v2")
	w.await(t, true)
	if got := (<-w.applied).Worker.Slots; got != 2 {
		t.Errorf("slots %d", got)
	}
}

func link(t *testing.T, dir, target string) {
	t.Helper()
	temp := filepath.Join(dir, "..temp")
	if err := os.Symlink(target, temp); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

func TestHangupReadsAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "osiris.yaml")
	write(t, file, "worker: {slots: 1}\n")
	w := watch(t, file)
	w.hangup <- os.Interrupt // any value will do
	w.await(t, true)
}
