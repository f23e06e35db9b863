// Package natstest runs embedded NATS servers for tests: one node, and a cluster
// of three. It knows nothing of jobs, so tests inside package jobs can use it;
// everybody else takes package jobstest.
//
// Rules: a test that only talks to NATS shares the servers of its test binary and
// has a namespace of its own, swept when it ends; a test that kills nodes has its
// own servers. Main stops the shared ones and then looks for leaked goroutines.
package natstest

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

// NATS is what one test sees: servers and a namespace nobody else uses.
type NATS struct {
	*Servers
	Namespace string
}

// sizes are the shapes that every test of the queue must pass on.
var sizes = []struct {
	name  string
	nodes int
}{{"one", 1}, {"three", 3}}

// shared holds the servers that tests of this binary use together. A test
// function has no handle that could carry them, hence the package variable.
var shared struct {
	mu      sync.Mutex
	servers map[int]*Servers // by number of nodes
}

// Each runs f as the subtests "one" and "three" on the servers shared by the test
// binary, started when first needed. f must not stop them. TestMain must call
// Main.
func Each(t *testing.T, f func(t *testing.T, n *NATS)) {
	t.Helper()
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) { f(t, Shared(t, size.nodes)) })
	}
}

// EachOwn is Each with fresh servers for every subtest, which f may kill and
// restart.
func EachOwn(t *testing.T, f func(t *testing.T, n *NATS)) {
	t.Helper()
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) { f(t, Own(t, size.nodes)) })
	}
}

// Shared returns the binary's shared servers of that size with a namespace for t.
func Shared(t testing.TB, nodes int) *NATS {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	s := shared.servers[nodes]
	if s == nil {
		dir, err := os.MkdirTemp("", "osiris-nats-")
		if err != nil {
			t.Fatalf("start shared nats: %v", err)
		}
		if s, err = Start(dir, nodes); err != nil {
			_ = os.RemoveAll(dir)
			t.Fatalf("start shared nats: %v", err)
		}
		if shared.servers == nil {
			shared.servers = make(map[int]*Servers)
		}
		shared.servers[nodes] = s
	}
	n := &NATS{Servers: s, Namespace: newNamespace()}
	t.Cleanup(func() { n.sweep(t) })
	return n
}

// Own returns fresh servers that end with t.
func Own(t testing.TB, nodes int) *NATS {
	t.Helper()
	dir, err := os.MkdirTemp("", "osiris-nats-")
	if err != nil {
		t.Fatalf("start nats: %v", err)
	}
	s, err := Start(dir, nodes)
	if err != nil {
		_ = os.RemoveAll(dir)
		t.Fatalf("start nats: %v", err)
	}
	t.Cleanup(func() {
		s.Stop()
		_ = os.RemoveAll(dir)
	})
	return &NATS{Servers: s, Namespace: newNamespace()}
}

// Main runs a package's tests, stops the shared servers, fails on leaked
// goroutines, except those that ignore names, and exits.
func Main(m *testing.M, ignore ...goleak.Option) {
	flag.Parse()
	// Tests that run side by side mostly wait: more of them than there are cores.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintf(os.Stderr, "run tests side by side: %v\n", err)
		os.Exit(1)
	}
	code := m.Run()
	stopShared()
	removeProgram()
	// A fuzzing worker's goroutines are the tool's own.
	if f := flag.Lookup("test.fuzzworker"); code == 0 && (f == nil || f.Value.String() != "true") {
		if err := goleak.Find(append(Ignored(), ignore...)...); err != nil {
			fmt.Fprintf(os.Stderr, "goroutines leaked: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Ignored lists the goroutines that the server package starts once per process
// and never ends.
func Ignored() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*ipQueue[...]).push"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.init.func1"),
	}
}

func stopShared() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for _, s := range shared.servers {
		s.Stop()
		_ = os.RemoveAll(s.dir)
	}
	shared.servers = nil
}

// Messages returns how many messages the stream of that name in the namespace has.
func (n *NATS) Messages(t testing.TB, stream string) int {
	t.Helper()
	nc, err := nats.Connect(n.URLs())
	if err != nil {
		t.Fatalf("look into stream: %v", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatalf("look into stream: %v", err)
	}
	s, err := js.Stream(t.Context(), n.Namespace+"-"+stream)
	if err != nil {
		t.Fatalf("look into stream: %v", err)
	}
	return int(s.CachedInfo().State.Msgs)
}

func newNamespace() string { return "t" + strings.ToLower(rand.Text()[:10]) }

// sweep deletes the namespace's streams: hundreds of idle Raft groups would slow
// the tests that follow.
func (n *NATS) sweep(t testing.TB) {
	nc, err := nats.Connect(n.URLs())
	if err != nil {
		t.Logf("sweep namespace: %v", err)
		return
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Logf("sweep namespace: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	list := js.StreamNames(ctx)
	for name := range list.Name() {
		if strings.HasPrefix(strings.TrimPrefix(name, "KV_"), n.Namespace+"-") {
			if err := js.DeleteStream(ctx, name); err != nil {
				t.Logf("sweep namespace: delete %s: %v", name, err)
			}
		}
	}
	if err := list.Err(); err != nil {
		t.Logf("sweep namespace: %v", err)
	}
}
