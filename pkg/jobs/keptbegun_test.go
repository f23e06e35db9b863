package jobs

import (
	"slices"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// Of many jobs that have not ended those that run are found without looking for each,
// and those that wait as well.
func TestListFewOfManyThatWait(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		var all, running []ID
		for i := range 3 * begunLeast {
			j := recordedJob(time.Duration(3*begunLeast-i) * time.Second)
			r.label(j)
			r.enqueue(j)
			if i%begunLeast == begunLeast-1 {
				r.events(j, mark(replayStarted, 1, 1))
				running = append(running, j.ID)
				continue
			}
			all = append(all, j.ID)
		}
		if _, _, err := cl.ListKept(t.Context(), "acme", KeptQuery{Status: KeptFailed}); err != nil { // makes the index
			t.Fatal(err)
		}
		before := r.conn.nc.Stats().OutMsgs
		items, more, err := cl.ListKept(t.Context(), "acme", KeptQuery{Status: KeptRunning})
		if err != nil || more || len(items) != len(running) {
			t.Fatalf("%d run, want %d, %t, %v", len(items), len(running), more, err)
		}
		if asked := r.conn.nc.Stats().OutMsgs - before; asked > begunLeast {
			t.Errorf("%d questions for a list of %d", asked, len(running))
		}
		for i, want := range running {
			if items[i].Job.ID != want || items[i].Status != KeptRunning {
				t.Errorf("%d: %s, %s", i, items[i].Job.ID, items[i].Status)
			}
		}
		if got := r.list(cl, "acme", KeptQuery{Status: KeptQueued, Limit: 100}); !slices.Equal(got, all) {
			t.Errorf("%d wait, want %d", len(got), len(all))
		}
		if got := r.list(cl, "acme", KeptQuery{Status: KeptRunning, Descending: true, Limit: 2}); len(got) != 3 || got[0] != running[2] {
			t.Errorf("newest first: %v", got)
		}
	})
}

// BenchmarkListRunning lists the three that run of 20,000 kept jobs that wait.
func BenchmarkListRunning(b *testing.B) {
	c := testConn(b, testConfig(natstest.Shared(b, 1)))
	now := time.Now()
	for i := range 20_000 {
		j := recordedJob(0)
		j.ID = idAt(now.Add(-time.Duration(i) * time.Second))
		payload, err := encodeJob(nil, "f", j, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.js.PublishMsgAsync(labelled(c.n.record(j.Tenant, j.ID), payload, recordLabel(j)), patiently); err != nil {
			b.Fatal(err)
		}
		if i%7000 != 0 {
			continue
		}
		if _, err := c.js.Publish(b.Context(), c.n.replay(j.ID), appendReplay(nil, &replayMessage{kind: replayStarted, attempt: 1, first: 1})); err != nil {
			b.Fatal(err)
		}
	}
	<-c.js.PublishAsyncComplete()
	cl, err := NewClient(b.Context(), c, ClientConfig{})
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	for b.Loop() {
		items, more, err := cl.ListKept(b.Context(), "acme", KeptQuery{Status: KeptRunning})
		if err != nil || more || len(items) != 3 {
			b.Fatalf("%d listed, %t, %v", len(items), more, err)
		}
	}
}
