package jobs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

func TestConfigReportsEveryFault(t *testing.T) {
	_, err := Connect(t.Context(), Config{Namespace: "a.b", Domain: "x y", Replicas: 6, MaxBody: -1, AckWait: time.Millisecond})
	if err == nil {
		t.Fatal("connected with a faulty configuration")
	}
	for _, want := range []string{`namespace "a.b"`, `domain "x y"`, "replicas 6", "max body -1", "ack wait 1ms"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
}

func TestConnectReturnsAtOnceWhenRefused(t *testing.T) {
	srv := startServer(t, &server.Options{Username: "u", Password: "p"})
	ctx, cancel := context.WithTimeout(t.Context(), election)
	defer cancel()
	_, err := Connect(ctx, Config{URL: srv.ClientURL(), User: "u", Password: "wrong"})
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Fatalf("err = %v, want an authorization error", err)
	}
	c, err := Connect(ctx, Config{URL: srv.ClientURL(), User: "u", Password: "p"})
	if err != nil {
		t.Fatalf("connect with the right password: %v", err)
	}
	c.Close()
	c.Close()
}

func TestConnectWithEachKindOfCredentials(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	seedFile := filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(seedFile, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		server server.Options
		client Config
	}{
		"token": {server.Options{Authorization: "secret"}, Config{Token: "secret"}},
		"nkey":  {server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}}, Config{NKeyFile: seedFile}},
	} {
		t.Run(name, func(t *testing.T) {
			c.client.URL = startServer(t, &c.server).ClientURL()
			conn, err := Connect(t.Context(), c.client)
			if err != nil {
				t.Fatalf("connect: %v", err)
			}
			conn.Close()
			if conn, err := Connect(t.Context(), Config{URL: c.client.URL}); err == nil {
				conn.Close()
				t.Error("connected without credentials")
			}
		})
	}
	if _, err := Connect(t.Context(), Config{NKeyFile: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing nkey file: %v", err)
	}
}

// Everything that goes through JetStream's API goes to the domain asked for.
func TestConnectToADomain(t *testing.T) {
	srv := startServer(t, &server.Options{JetStreamDomain: "hub"})
	c, err := Connect(t.Context(), Config{URL: srv.ClientURL(), Domain: "hub"})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer c.Close()
	if err := c.EnsurePool(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	ring, err := c.WatchKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	_, secret, err := c.CreateKey(t.Context(), KeySpec{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	within(t, promised, "key accepted", func() bool { _, err := ring.Authenticate([]byte(secret)); return err == nil })
	if keys, err := c.Keys(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("keys: %v, %v", keys, err)
	}
	ref, err := c.storeBody(t.Context(), &Job{ID: NewID(), Body: randomBody(2 << 20)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.loadBody(t.Context(), ref); err != nil {
		t.Error(err)
	}
}

func TestConnectInProcess(t *testing.T) {
	srv := startServer(t, &server.Options{DontListen: true})
	c, err := Connect(t.Context(), Config{InProcess: srv})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer c.Close()
	if err := c.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
}

func TestConnectWaitsForTheServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	url := "nats://" + l.Addr().String()
	l.Close()

	var logs lockedBuffer
	logged := make(chan struct{}, 1)
	logs.wrote = logged
	type result struct {
		c   *Conn
		err error
	}
	got := make(chan result, 1)
	go func() {
		c, err := Connect(t.Context(), Config{URL: url, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
		got <- result{c, err}
	}()
	<-logged // it failed at least once
	startServer(t, &server.Options{Port: port})
	r := <-got
	if r.err != nil {
		t.Fatalf("connect: %v", r.err)
	}
	defer r.c.Close()
	if !strings.Contains(logs.String(), "cannot be reached") {
		t.Errorf("log does not say what it waits for: %s", logs.String())
	}
}

func TestConnectGivesUpWithItsContext(t *testing.T) {
	// The library tells of the second attempt, after 300 ms at most.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := Connect(ctx, Config{URL: "nats://127.0.0.1:1"})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("err = %v, want the deadline and its cause", err)
	}
}

func TestReadyFollowsTheConnection(t *testing.T) {
	t.Parallel()
	natstest.EachOwn(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		if err := c.Ready(); err != nil {
			t.Fatalf("ready: %v", err)
		}
		for i := range n.Nodes() {
			n.Kill(i)
		}
		within(t, patience, "ready reports the outage", func() bool { return c.Ready() != nil })
		if n.Nodes() == 1 { // what is published into an outage is refused, not kept for later
			if err := c.nc.Publish("x", []byte("y")); !errors.Is(err, nats.ErrReconnectBufExceeded) {
				t.Errorf("publish during an outage: %v", err)
			}
		}
		n.RestartAll(t)
		within(t, election, "ready again", func() bool { return c.Ready() == nil })
	})
}

// startServer runs one server of a test's own, with JetStream.
func startServer(t *testing.T, opts *server.Options) *server.Server {
	t.Helper()
	opts.JetStream, opts.StoreDir, opts.JetStreamMaxStore = true, t.TempDir(), 1<<40
	return startPlain(t, opts)
}

// startPlain starts a server as opts say, without JetStream unless they want it.
func startPlain(t *testing.T, opts *server.Options) *server.Server {
	t.Helper()
	opts.Host, opts.NoSigs, opts.NoLog = "127.0.0.1", true, true
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatalf("start nats: %v", err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("start nats: not ready")
	}
	return srv
}

// lockedBuffer collects a log and says when something was written.
type lockedBuffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	wrote chan<- struct{}
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.wrote <- struct{}{}:
	default:
	}
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
