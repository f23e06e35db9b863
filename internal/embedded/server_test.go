package embedded

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

const holdEnv = "OSIRIS_TEST_HOLD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdEnv); dir != "" {
		holdLock(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// holdLock is the child process of TestLockNamesTheHolder.
func holdLock(dir string) {
	l, err := lockDir(dir)
	if err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		return
	}
	os.Stdout.WriteString("held\n")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent closes it
	_ = l.release()
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func connect(t *testing.T, s *Server) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.Token(s.Token()))
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func TestRestartKeepsData(t *testing.T) {
	for _, always := range []bool{false, true} {
		cfg := Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", SyncAlways: always}
		s := start(t, cfg)
		first := s.Token()
		nc, js := connect(t, s)
		kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.PutString(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		nc.Close()
		stop(t, s)

		s = start(t, cfg)
		nc, js = connect(t, s)
		if kv, err = js.KeyValue(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		if e, err := kv.Get(t.Context(), "k"); err != nil || string(e.Value()) != "v" {
			t.Errorf("after a restart: %v, %v", e, err)
		}
		if s.Token() != first {
			t.Error("the token changed over a restart")
		}
		nc.Close()
		stop(t, s)
	}
}

// TestReadyWellUnderASecond takes the best of a few: the machine may be busy.
func TestReadyWellUnderASecond(t *testing.T) {
	best := time.Hour
	for range 3 {
		began := time.Now()
		s := start(t, Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
		best = min(best, time.Since(began))
		stop(t, s)
	}
	if best > time.Second {
		t.Errorf("ready after %s", best)
	}
}

func TestConnectionFile(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{Dir: dir, Listen: "127.0.0.1:0"})
	info, err := os.Stat(filepath.Join(dir, connectionFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v lets others read the token", info.Mode())
	}
	c, err := ReadConnection(dir)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(c.URL, nats.Token(c.Token))
	if err != nil {
		t.Fatalf("with what the file says: %v", err)
	}
	nc.Close()
	if c.PID != os.Getpid() {
		t.Errorf("pid %d", c.PID)
	}
	if nc, err := nats.Connect(c.URL); !errors.Is(err, nats.ErrAuthorization) {
		nc.Close()
		t.Errorf("without a token: %v", err)
	}
	stop(t, s)
	if _, err := ReadConnection(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after stop: %v", err)
	}
}

func TestWithoutListener(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{Dir: dir})
	defer stop(t, s)
	if s.URL() != "" {
		t.Errorf("url %s", s.URL())
	}
	if _, err := ReadConnection(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("connection: %v", err)
	}
	nc, _ := connect(t, s)
	nc.Close()
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := t.TempDir()
	if _, err := Start(Config{Dir: dir, Listen: ln.Addr().String()}); err == nil || !strings.Contains(err.Error(), "--nats-listen") {
		t.Fatalf("error %v has no remedy", err)
	}
	stop(t, start(t, Config{Dir: dir})) // the lock was given back
}

func TestLockNamesTheHolder(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), holdEnv+"="+dir)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 16)
	if n, err := stdout.Read(said); err != nil || string(said[:n]) != "held\n" {
		t.Fatalf("child said %q, %v", said[:n], err)
	}
	_, err = Start(Config{Dir: dir})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != child.Process.Pid || locked.Dir != dir {
		t.Errorf("error %v, want one that names process %d", err, child.Process.Pid)
	}
	stdin.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	stop(t, start(t, Config{Dir: dir}))
}

func TestTokenFileFromElsewhere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("chosen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Dir: dir, Listen: "127.0.0.1:0"})
	defer stop(t, s)
	data, err := os.ReadFile(filepath.Join(dir, connectionFile))
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(data, &c); err != nil || c["token"] != "chosen" {
		t.Errorf("connection %s", data)
	}
}
