package jobs

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// Several processes that start together make each stream and consumer once.
func TestTopologyIsMadeOnceByManyAtOnce(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		var wg sync.WaitGroup
		conns := make([]*Conn, 5)
		for i := range conns {
			wg.Go(func() {
				c, err := Connect(t.Context(), testConfig(n))
				if err != nil {
					t.Errorf("connect: %v", err)
					return
				}
				conns[i] = c
				if err := c.EnsurePool(t.Context(), "gpu"); err != nil {
					t.Errorf("ensure pool: %v", err)
				}
			})
		}
		wg.Wait()
		for _, c := range conns {
			if c == nil {
				t.FailNow()
			}
			defer c.Close()
		}
		checkStreams(t, conns[0], n.Nodes())
		checkConsumers(t, conns[0], "gpu", n.Nodes())
	})
}

func checkStreams(t *testing.T, c *Conn, replicas int) {
	t.Helper()
	for _, class := range Classes() {
		cfg := streamConfig(t, c, c.n.jobsStream(class))
		if cfg.Retention != jetstream.WorkQueuePolicy || cfg.Discard != jetstream.DiscardNew || cfg.Storage != jetstream.FileStorage ||
			cfg.MaxMsgsPerSubject != 1 || !cfg.DiscardNewPerSubject || cfg.MaxMsgs != c.cfg.MaxQueued || cfg.MaxBytes != c.cfg.MaxQueuedBytes ||
			!cfg.AllowDirect || !cfg.AllowMsgTTL || !cfg.AllowAtomicPublish || cfg.MaxAge != 0 || cfg.Replicas != replicas {
			t.Errorf("stream of class %s: %+v", class, cfg)
		}
	}
	if cfg := streamConfig(t, c, c.n.usageStream()); cfg.MaxAge != 30*24*time.Hour || cfg.MaxBytes <= 0 || cfg.Replicas != replicas {
		t.Errorf("usage stream: %+v", cfg)
	}
	if cfg := streamConfig(t, c, c.n.bodiesStream()); cfg.MaxAge != bodyAge || cfg.MaxBytes <= 0 || cfg.Discard != jetstream.DiscardNew || cfg.Replicas != replicas {
		t.Errorf("bodies stream: %+v", cfg)
	}
	for _, bucket := range []string{c.n.keysBucket(), c.n.modelsBucket(), c.n.workersBucket()} {
		if cfg := streamConfig(t, c, c.n.bucketStream(bucket)); cfg.AllowDirect || cfg.Replicas != replicas {
			t.Errorf("bucket %s: %+v", bucket, cfg)
		}
	}
}

func checkConsumers(t *testing.T, c *Conn, pool string, replicas int) {
	t.Helper()
	for _, class := range Classes() {
		cons, err := c.js.Consumer(t.Context(), c.n.jobsStream(class), pool)
		if err != nil {
			t.Fatalf("consumer of class %s: %v", class, err)
		}
		info := cons.CachedInfo()
		cfg := info.Config
		if cfg.Durable != pool || cfg.FilterSubject != c.n.poolFilter(class, pool) || cfg.AckPolicy != jetstream.AckExplicitPolicy ||
			cfg.AckWait != c.cfg.AckWait || cfg.MaxDeliver != -1 || cfg.MaxAckPending != -1 || cfg.MaxWaiting < 4096 {
			t.Errorf("consumer of class %s: %+v", class, cfg)
		}
		if info.Cluster != nil && len(info.Cluster.Replicas)+1 != replicas {
			t.Errorf("consumer of class %s has %d copies, want %d", class, len(info.Cluster.Replicas)+1, replicas)
		}
	}
}

func streamConfig(t *testing.T, c *Conn, name string) jetstream.StreamConfig {
	t.Helper()
	s, err := c.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatalf("stream %s: %v", name, err)
	}
	return s.CachedInfo().Config
}

// Connecting with other limits changes those and nothing else.
func TestTopologyFollowsChangedLimits(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		first := testConn(t, testConfig(n))
		if err := first.EnsurePool(t.Context(), "gpu"); err != nil {
			t.Fatal(err)
		}
		name := first.n.jobsStream(Interactive)
		before := streamConfig(t, first, name)
		for range 3 {
			if _, err := first.js.Publish(t.Context(), first.n.job(Interactive, "gpu", "t", NewID()), nil); err != nil {
				t.Fatal(err)
			}
		}

		cfg := testConfig(n)
		cfg.MaxQueued, cfg.MaxQueuedBytes, cfg.UsageAge, cfg.AckWait = 2, 1<<20, time.Hour, 45*time.Second
		second := testConn(t, cfg)
		if err := second.EnsurePool(t.Context(), "gpu"); err != nil {
			t.Fatal(err)
		}
		after := streamConfig(t, second, name)
		if after.MaxMsgs != 2 || after.MaxBytes != 1<<20 {
			t.Errorf("limits are %d jobs, %d bytes", after.MaxMsgs, after.MaxBytes)
		}
		before.MaxMsgs, before.MaxBytes = after.MaxMsgs, after.MaxBytes
		if before.Metadata, after.Metadata = nil, nil; !reflect.DeepEqual(before, after) {
			t.Errorf("more than the limits changed:\n%+v\n%+v", before, after)
		}
		if age := streamConfig(t, second, second.n.usageStream()).MaxAge; age != time.Hour {
			t.Errorf("usage is kept for %s", age)
		}
		checkConsumers(t, second, "gpu", n.Nodes())
		// A lower limit refuses new jobs; it never drops accepted ones.
		s, err := second.js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().State.Msgs; got != 3 {
			t.Errorf("%d jobs are left of 3", got)
		}
		if _, err := second.js.Publish(t.Context(), second.n.job(Interactive, "gpu", "t", NewID()), nil); !hasCode(err, codeStreamFull) {
			t.Errorf("publish to a full queue: %v", err)
		}
	})
}

func TestAJobIsQueuedOnce(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		subject := c.n.job(Interactive, "gpu", "t", NewID())
		if _, err := c.js.Publish(t.Context(), subject, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.js.Publish(t.Context(), subject, nil); !hasCode(err, codeStreamFull) {
			t.Errorf("second publish of a job: %v", err)
		}
	})
}

func TestNamespacesDoNotSeeEachOther(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		other := testConfig(n)
		other.Namespace += "-b" // begins like the first one
		a, b := testConn(t, testConfig(n)), testConn(t, other)
		if _, _, err := a.CreateKey(t.Context(), KeySpec{Name: "a"}); err != nil {
			t.Fatal(err)
		}
		if err := a.PublishModels(t.Context(), PoolModels{Pool: "p", Models: []Model{{ID: "m"}}}); err != nil {
			t.Fatal(err)
		}
		if err := a.announceWorker(t.Context(), WorkerInfo{ID: "w", Pool: "p"}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.js.Publish(t.Context(), a.n.job(Batch, "p", "t", NewID()), nil); err != nil {
			t.Fatal(err)
		}
		keys, err := b.Keys(t.Context())
		if err != nil || len(keys) != 0 {
			t.Errorf("keys of the other: %v, %v", keys, err)
		}
		workers, err := b.Workers(t.Context())
		if err != nil || len(workers) != 0 {
			t.Errorf("workers of the other: %v, %v", workers, err)
		}
		cat, err := b.WatchCatalogue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer cat.Close()
		if !cat.Empty() {
			t.Errorf("models of the other: %v", cat.Models())
		}
		s, err := b.js.Stream(t.Context(), b.n.jobsStream(Batch))
		if err != nil {
			t.Fatal(err)
		}
		if msgs := s.CachedInfo().State.Msgs; msgs != 0 {
			t.Errorf("%d jobs of the other", msgs)
		}
	})
}

// A process may start while a node of the cluster is away, and while a leader is
// being elected.
func TestTopologyIsMadeWithANodeAway(t *testing.T) {
	t.Parallel()
	n := natstest.Own(t, 3)
	first := testConn(t, testConfig(n))
	if err := first.EnsurePool(t.Context(), "gpu"); err != nil {
		t.Fatal(err)
	}
	leader := n.Leader(first.n.jobsStream(Interactive))
	if leader < 0 {
		t.Fatal("the stream has no leader")
	}
	n.Kill(leader)
	ctx, cancel := context.WithTimeout(t.Context(), election)
	defer cancel()
	second, err := Connect(ctx, testConfig(n))
	if err != nil {
		t.Fatalf("connect with a node away: %v", err)
	}
	defer second.Close()
	if err := second.EnsurePool(ctx, "gpu"); err != nil {
		t.Fatalf("ensure pool with a node away: %v", err)
	}
	checkStreams(t, second, 3)
}

// A stream with one copy gets three when nobody asks for a number and there are
// three servers; asking for a number changes it.
func TestReplicasAreRaised(t *testing.T) {
	n := natstest.Shared(t, 3)
	single := testConfig(n)
	single.Replicas = 1
	c := testConn(t, single)
	checkStreams(t, c, 1)
	c = testConn(t, testConfig(n))
	checkStreams(t, c, 3)
}

func TestMergeStreamOnlyAdds(t *testing.T) {
	have := jetstream.StreamConfig{
		Name: "s", Subjects: []string{"a", "newer"}, MaxMsgs: 5, MaxBytes: -1, MaxAge: time.Hour,
		AllowDirect: true, AllowMsgSchedules: true, Replicas: 3,
	}
	want := jetstream.StreamConfig{Name: "s", Subjects: []string{"a"}, MaxMsgs: 5, MaxAge: time.Hour}
	if merged, changed := mergeStream(have, want); changed || !reflect.DeepEqual(merged, have) {
		t.Errorf("nothing to change, got %+v", merged)
	}
	want.Subjects, want.MaxMsgs, want.AllowMsgTTL = []string{"b"}, 6, true
	merged, changed := mergeStream(have, want)
	expect := have
	expect.Subjects, expect.MaxMsgs, expect.AllowMsgTTL = []string{"a", "newer", "b"}, 6, true
	if !changed || !reflect.DeepEqual(merged, expect) {
		t.Errorf("got %+v, want %+v", merged, expect)
	}
	if len(have.Subjects) != 2 {
		t.Error("the input was modified")
	}
}

func TestEnsurePoolRefusesBadNames(t *testing.T) {
	c := testConn(t, testConfig(natstest.Shared(t, 1)))
	for _, pool := range []string{"", "a.b", "*", ">"} {
		if err := c.EnsurePool(t.Context(), pool); err == nil {
			t.Errorf("pool %q was accepted", pool)
		}
	}
}
