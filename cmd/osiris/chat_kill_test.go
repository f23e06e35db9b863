//go:build !windows

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/client"
	"github.com/osiris/osiris/internal/embedded"
	"github.com/osiris/osiris/internal/service"
)

// playedModel is a model server. Each call says its answer up to a "|", and the rest
// once it is told to go on.
type playedModel struct {
	*httptest.Server
	goOn chan struct{}

	mu      sync.Mutex
	answers []string // of the calls to come
}

func startModel(t *testing.T) *playedModel {
	t.Helper()
	m := &playedModel{goOn: make(chan struct{})}
	m.Server = httptest.NewServer(http.HandlerFunc(m.serve))
	t.Cleanup(m.Close)
	return m
}

func (m *playedModel) play(answers ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers = answers
}

func (m *playedModel) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/models") {
		fmt.Fprint(w, `{"object":"list","data":[{"id":"played","object":"model"}]}`)
		return
	}
	m.mu.Lock()
	answer := m.answers[0]
	m.answers = m.answers[1:]
	m.mu.Unlock()
	first, rest, stops := strings.Cut(answer, "|")
	w.Header().Set("Content-Type", "text/event-stream")
	m.say(w, first)
	if stops {
		select {
		case <-m.goOn:
		case <-r.Context().Done():
			return
		}
		m.say(w, rest)
	}
	fmt.Fprint(w, `data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
}

func (m *playedModel) say(w http.ResponseWriter, text string) {
	for _, word := range strings.SplitAfter(text, " ") {
		quoted, _ := json.Marshal(word)
		fmt.Fprintf(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%s}}]}\n\n", quoted)
		_ = http.NewResponseController(w).Flush()
	}
}

// apart is Osiris as processes, which can be killed.
type apart struct {
	dir, url, listen string
	env              []string
	worker, frontend *exec.Cmd
}

const apartKey = "sk-osiris-apart-0123456789abcdef"

func startApart(t *testing.T, model string) *apart {
	t.Helper()
	a := &apart{dir: t.TempDir()}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", a.dir+string(filepath.Separator), "../frontend", "../worker").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	nats, err := embedded.Start(embedded.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nats.Stop(); err != nil {
			t.Error(err)
		}
	})
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.listen = free.Addr().String()
	free.Close()
	a.url = "http://" + a.listen + "/v1"
	a.env = []string{
		"HOME=" + t.TempDir(), "OSIRIS_NATS_URL=" + nats.URL(), "OSIRIS_NATS_TOKEN=" + nats.Token(), "OSIRIS_ADMIN_LISTEN=off",
		"OSIRIS_LISTEN=" + a.listen, "OSIRIS_BOOTSTRAP_KEY=" + apartKey, "OPENAI_BASE_URL=" + model,
		"OSIRIS_QUEUE_LEASE=5s",
	}
	a.worker, a.frontend = a.start(t, "worker"), a.start(t, "frontend")
	return a
}

// start starts a program and waits until it is ready.
func (a *apart) start(t *testing.T, program string) *exec.Cmd {
	t.Helper()
	cmd, log := exec.CommandContext(t.Context(), filepath.Join(a.dir, program)), newOutput()
	cmd.Env, cmd.Stderr = a.env, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	log.await(t, "msg=ready")
	return cmd
}

// kill ends a process as a crash does. Doing it again does nothing.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
}

// awaitModel waits until the frontend knows what the worker serves.
func (a *apart) awaitModel(t *testing.T) {
	t.Helper()
	c, err := client.New(client.Config{BaseURL: a.url, Key: apartKey})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for deadline := time.Now().Add(time.Minute); ; {
		if names, err := c.Models(t.Context()); err == nil && slices.Contains(names, "played") {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("models: %v, %v", names, err)
		}
	}
}

// A chat goes on by itself whoever is killed in the middle of its answer, and says
// nothing twice.
func TestChatOutlivesProcesses(t *testing.T) {
	m := startModel(t)
	a := startApart(t, m.URL)
	for _, c := range []struct {
		name    string
		answers []string
		kill    func()
		stdout  string
		stderr  []string
	}{
		{
			name: "worker", answers: []string{"one two |", "one two three"},
			kill:   func() { kill(a.worker); a.worker = a.start(t, "worker") },
			stdout: "one two three\n", stderr: []string{"stopped before it was complete. The server goes on with it"},
		},
		{
			name: "worker, and another one says something else", answers: []string{"one two |", "one or more"},
			kill:   func() { kill(a.worker); a.worker = a.start(t, "worker") },
			stdout: "one two \none or more\n", stderr: []string{"begun anew"},
		},
		{
			name: "frontend", answers: []string{"one two |three"},
			kill: func() {
				kill(a.frontend)
				a.frontend = a.start(t, "frontend")
				m.goOn <- struct{}{}
			},
			stdout: "one two three\n",
		},
		{
			name: "both", answers: []string{"one two |", "one two three"},
			kill: func() {
				kill(a.worker)
				kill(a.frontend)
				a.worker, a.frontend = a.start(t, "worker"), a.start(t, "frontend")
			},
			stdout: "one two three\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.play(c.answers...)
			a.awaitModel(t)
			stdout, stderr, ended := newOutput(), newOutput(), make(chan int, 1)
			go func() {
				ended <- run(t.Context(), []string{"chat", "-m", "played", "Count!"}, service.IO{
					Environ: []string{"OSIRIS_BASE_URL=" + a.url, "OSIRIS_API_KEY=" + apartKey}, Stdout: stdout, Stderr: stderr,
				})
			}()
			stdout.await(t, "two ")
			c.kill()
			select {
			case code := <-ended:
				if code != 0 || stdout.String() != c.stdout {
					t.Errorf("exit code %d, %q, want %q; %s", code, stdout, c.stdout, stderr)
				}
			case <-time.After(time.Minute):
				t.Fatalf("still waiting: %q; %s", stdout, stderr)
			}
			for _, want := range c.stderr {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("stderr lacks %q: %s", want, stderr)
				}
			}
		})
	}
}

// A reader that goes ends a chat, and its job.
func TestChatUnread(t *testing.T) {
	r := startRig(t)
	cmd := exec.Command(build(t), "chat", "-m", "echo?delay=100ms&tokens=600", "one two")
	cmd.Env = append(os.Environ(), "OSIRIS_BASE_URL="+r.url, "OSIRIS_API_KEY="+r.key)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 3)); err != nil {
		t.Error(err)
	}
	if err := stdout.Close(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitUnread || stderr.Len() > 0 {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	r.awaitJob(t, "cancelled")
}
