package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/embedded"
)

// The variables that make this test binary the NATS of its own tests.
const natsVariable, natsListenVariable = "OSIRIS_E2E_NATS", "OSIRIS_E2E_NATS_LISTEN"

// serveNATS runs a NATS server with its data in dir until it is told to stop, or the
// test that started it is gone. It limits messages as an ordinary server does.
func serveNATS(dir, listen string) int {
	server, err := embedded.Start(embedded.Config{Dir: dir, Listen: listen, MaxPayload: 1 << 20})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(os.Stderr, "msg=ready")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test
		stop <- syscall.SIGTERM
	}()
	<-stop
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// binaries are the programs, built when the first test asks.
var binaries = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "osiris-e2e-"); err != nil {
		return "", err
	}
	binariesDir = dir
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./cmd/frontend", "./cmd/worker", "./cmd/osiris")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return dir, nil
})

var binariesDir string // written by binaries, for removeBinaries

func removeBinaries() {
	if binariesDir != "" {
		_ = os.RemoveAll(binariesDir)
	}
}

// process is a program that runs on its own.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   *processLog
	stdin io.Closer
	ended chan struct{} // closed once err is set
	err   error
}

// processLog is what a process wrote to standard error.
type processLog struct {
	mu      sync.Mutex
	text    strings.Builder
	written chan struct{} // closed at each write, and replaced
}

const mostLog = 8 << 20

func (l *processLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() < mostLog {
		l.text.Write(p)
	}
	close(l.written)
	l.written = make(chan struct{})
	return len(p), nil
}

func (l *processLog) read() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String(), l.written
}

// spawn starts a process, which is killed at the end of the test if it still runs.
func spawn(t *testing.T, name, path string, args, env []string) *process {
	t.Helper()
	p := &process{name: name, cmd: exec.Command(path, args...), log: &processLog{written: make(chan struct{})}, ended: make(chan struct{})}
	p.cmd.Env = append([]string{"HOME=" + t.TempDir()}, env...)
	p.cmd.Stderr = p.log
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill(t)
		if t.Failed() {
			text, _ := p.log.read()
			t.Logf("log of %s:\n%s", name, last(text, 6000))
		}
	})
	return p
}

// last returns the end of s.
func last(s string, n int) string { return s[max(0, len(s)-n):] }

// await waits until the process has written what pattern matches, and returns its
// first group.
func (p *process) await(t *testing.T, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		text, written := p.log.read()
		if m := expression.FindStringSubmatch(text); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-written:
		case <-p.ended:
			t.Fatalf("%s ended with %v before it wrote %q: %s", p.name, p.err, pattern, text)
		case <-late:
			t.Fatalf("%s did not write %q: %s", p.name, pattern, text)
		}
	}
}

// kill ends the process as a crash does: no signal that it could handle.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("kill %s: %v", p.name, err)
	}
	<-p.ended
}

// terminate asks the process to stop.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("terminate %s: %v", p.name, err)
	}
}

// awaitEnd waits until the process has ended by itself, with exit code 0.
func (p *process) awaitEnd(t *testing.T) {
	t.Helper()
	within(t, patience, p.name+" ends", p.ended)
	if p.err != nil {
		t.Errorf("%s: %v", p.name, p.err)
	}
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
