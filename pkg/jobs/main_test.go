package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

func TestMain(m *testing.M) { natstest.Main(m) }

// promised is how long a change may take to reach those who watch: a second, of
// which a machine busy with other tests makes three.
const promised = 3 * time.Second

// testConfig returns how to reach n. Package jobstest does the same for tests
// outside this package, which it cannot serve itself since it imports it.
func testConfig(n *natstest.NATS) Config {
	return Config{URL: n.URLs(), Namespace: n.Namespace}
}

// testConn connects; the connection is closed when t ends.
func testConn(t testing.TB, cfg Config) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := Connect(ctx, cfg)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// await waits until done returns true, looking every few milliseconds.
func await(t testing.TB, what string, limit time.Duration, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline.C:
			t.Fatalf("%s: not within %s", what, limit)
		case <-tick.C:
		}
	}
}
