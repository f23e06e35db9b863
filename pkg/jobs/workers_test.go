package jobs

import (
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

func TestWorkersAreListedUntilTheyLeave(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		a, b := testConn(t, testConfig(n)), testConn(t, testConfig(n))
		started := time.Now().UTC().Truncate(time.Second)
		for _, info := range []WorkerInfo{
			{ID: "w3", Pool: "b", Slots: 1},
			{ID: "w2", Pool: "a", Slots: 8, Busy: 3, Host: "h", Version: "v1", Started: started},
			{ID: "w1", Pool: "b", Slots: 2},
			{ID: "w1", Pool: "b", Slots: 4}, // said again
		} {
			if err := a.announceWorker(t.Context(), info); err != nil {
				t.Fatal(err)
			}
		}
		got, err := b.Workers(t.Context())
		if err != nil || len(got) != 3 {
			t.Fatalf("workers: %+v, %v", got, err)
		}
		if w := got[0]; w.ID != "w2" || w.Busy != 3 || w.Host != "h" || w.Version != "v1" || !w.Started.Equal(started) || time.Since(w.Seen).Abs() > time.Minute {
			t.Errorf("first worker %+v", w)
		}
		if got[1].ID != "w1" || got[1].Slots != 4 || got[2].ID != "w3" {
			t.Errorf("workers %+v", got)
		}
		for range 2 { // leaving twice is no fault
			if err := a.withdrawWorker(t.Context(), "w1"); err != nil {
				t.Fatal(err)
			}
		}
		if got, err = b.Workers(t.Context()); err != nil || len(got) != 2 {
			t.Errorf("after one left: %+v, %v", got, err)
		}
		if err := a.announceWorker(t.Context(), WorkerInfo{ID: "a.b"}); err == nil {
			t.Error("a bad worker id was accepted")
		}
	})
}

// The bucket forgets a worker that says nothing any more.
func TestWorkersBucketForgets(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		if age := streamConfig(t, c, c.n.bucketStream(c.n.workersBucket())).MaxAge; age != workerTTL {
			t.Errorf("entries live %s, want %s", age, workerTTL)
		}
	})
}
