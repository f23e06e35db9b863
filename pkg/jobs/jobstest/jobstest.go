// Package jobstest gives tests a queue: embedded NATS servers, one node and a
// cluster of three, and connections to them.
//
//	func TestMain(m *testing.M) { jobstest.Main(m) }
//
//	func TestThing(t *testing.T) {
//		jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
//			conn := n.Connect(t)
//			...
//		})
//	}
//
// Every test of the queue runs on both shapes: reading back what was just
// acknowledged works on one node whether or not the code is right.
package jobstest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// NATS is what one test sees: servers and a namespace that no other test uses.
// Its methods besides Config and Connect (URL, URLs, Kill, Restart, Leader,
// Nodes) are those of the servers; only tests run by EachOwn, or
// with Own, may stop them.
type NATS struct{ *natstest.NATS }

// Each runs f as the subtests "one" and "three", on servers that the tests of a
// binary share and in a fresh namespace. f must not kill nodes. The package's
// TestMain must call Main.
func Each(t *testing.T, f func(t *testing.T, n *NATS)) {
	t.Helper()
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) { f(t, &NATS{n}) })
}

// EachOwn is Each with fresh servers for each subtest, which f may kill and
// restart; the cluster takes a few seconds to start.
func EachOwn(t *testing.T, f func(t *testing.T, n *NATS)) {
	t.Helper()
	natstest.EachOwn(t, func(t *testing.T, n *natstest.NATS) { f(t, &NATS{n}) })
}

// One returns the shared single node with a fresh namespace, for benchmarks and
// for tests that are not about the queue.
func One(t testing.TB) *NATS { return &NATS{natstest.Shared(t, 1)} }

// Three returns the shared cluster with a fresh namespace.
func Three(t testing.TB) *NATS { return &NATS{natstest.Shared(t, 3)} }

// Own returns fresh servers that end with t, which may kill and restart them.
func Own(t testing.TB, nodes int) *NATS { return &NATS{natstest.Own(t, nodes)} }

// Main runs a package's tests, stops the shared servers, fails on leaked
// goroutines, except those that ignore names, and exits the process.
func Main(m *testing.M, ignore ...goleak.Option) { natstest.Main(m, ignore...) }

// Config returns how to reach n: addresses and namespace, no logger.
func (n *NATS) Config() jobs.Config {
	return jobs.Config{URL: n.URLs(), Namespace: n.Namespace}
}

// Connect connects, failing t if that takes more than 30 s; the connection is
// closed when t ends.
func (n *NATS) Connect(t testing.TB) *jobs.Conn {
	t.Helper()
	return n.ConnectWith(t, n.Config())
}

// ConnectWith is Connect with a configuration changed by the test.
func (n *NATS) ConnectWith(t testing.TB, cfg jobs.Config) *jobs.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := jobs.Connect(ctx, cfg)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// LoseJobs empties the queue, waiting and running jobs alike, as a store that was
// lost does. Nothing else is touched.
func (n *NATS) LoseJobs(t testing.TB) {
	t.Helper()
	for _, class := range jobs.Classes() {
		n.empty(t, "-jobs-"+class.String())
	}
}

// LoseEvents removes the stored events of all kept jobs, as their age does.
func (n *NATS) LoseEvents(t testing.TB) {
	t.Helper()
	n.empty(t, "-events")
}

// empty purges the namespace's stream of a name.
func (n *NATS) empty(t testing.TB, name string) {
	t.Helper()
	nc, err := nats.Connect(n.URLs())
	if err != nil {
		t.Fatalf("empty %s: %v", name, err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatalf("empty %s: %v", name, err)
	}
	stream, err := js.Stream(t.Context(), n.Namespace+name)
	if err != nil {
		t.Fatalf("empty %s: %v", name, err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatalf("empty %s: %v", name, err)
	}
}
