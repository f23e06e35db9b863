package jobs

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

func TestExpiredKeyIsRefused(t *testing.T) {
	n := natstest.Shared(t, 1)
	c := testConn(t, testConfig(n))
	_, old, err := c.CreateKey(t.Context(), KeySpec{Name: "old", Expires: time.Now().Add(-time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := c.WatchKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	_, err = ring.Authenticate([]byte(old))
	wantBadKey(t, err, old)
	if !ring.Empty() {
		t.Error("an expired key counts as one")
	}
	now := time.Now()
	k := Key{Expires: now}
	if k.Usable(now) || !k.Usable(now.Add(-time.Nanosecond)) {
		t.Error("a key ends at the moment it expires")
	}
}

// Keys live through a restart of every server, and so does the watch over them.
func TestKeyringSurvivesRestarts(t *testing.T) {
	t.Parallel()
	natstest.EachOwn(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		_, before, err := c.CreateKey(t.Context(), KeySpec{Name: "before"})
		if err != nil {
			t.Fatal(err)
		}
		ring, err := c.WatchKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer ring.Close()
		for i := range n.Nodes() {
			n.Kill(i)
		}
		within(t, patience, "outage noticed", func() bool { return c.Ready() != nil })
		if _, err := ring.Authenticate([]byte(before)); err != nil {
			t.Errorf("during an outage: %v", err)
		}
		n.RestartAll(t)
		admin := testConn(t, testConfig(n))
		_, after, err := admin.CreateKey(t.Context(), KeySpec{Name: "after"})
		if err != nil {
			t.Fatal(err)
		}
		within(t, election, "key made after the restart accepted", func() bool {
			_, err := ring.Authenticate([]byte(after))
			return err == nil
		})
		if _, err := ring.Authenticate([]byte(before)); err != nil {
			t.Errorf("key made before the restart: %v", err)
		}
		if _, err := admin.RevokeKey(t.Context(), "before"); err != nil {
			t.Fatal(err)
		}
		within(t, promised, "key revoked after the restart refused", func() bool {
			_, err := ring.Authenticate([]byte(before))
			return err != nil
		})
	})
}

func TestAuthenticateDoesNotAllocate(t *testing.T) {
	c := testConn(t, testConfig(natstest.Shared(t, 1)))
	_, secret, err := c.CreateKey(t.Context(), KeySpec{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := c.WatchKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	presented := []byte(secret)
	if got := testing.AllocsPerRun(100, func() {
		if _, err := ring.Authenticate(presented); err != nil {
			t.Error(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// A key is found by its id without a look at the others: batches ask for every line.
func TestKeyByID(t *testing.T) {
	few, many := ringOf(10), ringOf(10_000)
	for _, id := range []string{"key-0", "key-9"} {
		if k, ok := many.ByID(id); !ok || k.ID != id {
			t.Errorf("%s: %+v, %t", id, k, ok)
		}
	}
	if _, ok := many.ByID("key-10000"); ok {
		t.Error("a key that was never made was found")
	}
	took := func(r *Keyring) time.Duration {
		least := time.Hour
		for range 20 { // the best of many, so that a pause does not count
			began := time.Now()
			for range 1000 {
				r.ByID("none")
			}
			least = min(least, time.Since(began))
		}
		return least
	}
	if a, b := took(few), took(many); b > 50*a {
		t.Errorf("a thousand look-ups take %s among 10 keys and %s among 10,000", a, b)
	}
}

// ringOf is a ring of n keys.
func ringOf(n int) *Keyring {
	entries := make(map[string]*Key, n)
	for i := range n {
		id := "key-" + strconv.Itoa(i)
		sum := sha256.Sum256([]byte(id))
		entries[id] = &Key{ID: id, Hash: hex.EncodeToString(sum[:])}
	}
	r := new(Keyring)
	r.publish(entries)
	return r
}

func BenchmarkAuthenticate(b *testing.B) {
	c := testConn(b, testConfig(natstest.Shared(b, 1)))
	_, secret, err := c.CreateKey(b.Context(), KeySpec{Name: "n"})
	if err != nil {
		b.Fatal(err)
	}
	ring, err := c.WatchKeys(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer ring.Close()
	presented := []byte(secret)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Authenticate(presented); err != nil {
			b.Fatal(err)
		}
	}
}

// A copy that lacks what the leader has is not taken for the bucket, until it is plain
// that the rest was removed.
func TestViewIsComplete(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		if _, _, err := c.CreateKey(t.Context(), KeySpec{Name: "one"}); err != nil {
			t.Fatal(err)
		}
		v := view[struct{}]{c: c, kv: c.keys}
		last, err := v.last(t.Context())
		if err != nil || last == 0 {
			t.Fatalf("revision %d, %v", last, err)
		}
		if err := v.complete(t.Context(), last); err != nil {
			t.Errorf("all of it: %v", err)
		}
		for range 2 {
			if err := v.complete(t.Context(), last-1); err == nil {
				t.Error("a copy without the newest change was taken")
			}
		}
		v.short.since = time.Now().Add(-viewCheck)
		if err := v.complete(t.Context(), last-1); err != nil {
			t.Errorf("what was removed is waited for: %v", err)
		}
	})
}
