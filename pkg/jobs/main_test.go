package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

func TestMain(m *testing.M) { natstest.Main(m) }

// promised is how long a change may take to reach those who watch: a second, of
// which a machine busy with other tests makes three.
const promised = 3 * time.Second

// patience is how long a test waits for what usually takes milliseconds. It is less
// than a worker's lease (Config.AckWait), whose end heals much: a test that waits for
// something faster would not notice that it did not come.
const patience = 25 * time.Second

// election is the same after a node was killed or restarted: those left may need
// several rounds of up to 9 s to elect a leader.
const election = time.Minute

// testConfig returns how to reach n. Package jobstest does the same for tests
// outside this package, which it cannot serve itself since it imports it.
func testConfig(n *natstest.NATS) Config {
	return Config{URL: n.URLs(), Namespace: n.Namespace}
}

// testConn connects; the connection is closed when t ends.
func testConn(t testing.TB, cfg Config) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), election)
	defer cancel()
	c, err := Connect(ctx, cfg)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// patiently has a test that publishes without waiting wait for as long as the broker
// of a busy machine may take.
var patiently = jetstream.WithStallWait(election)
