package jobs

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// label stores the record of a job as Submit does; record is as an older version did.
func (r *rig) label(j *Job) {
	r.t.Helper()
	if own, err := r.conn.putRecord(r.t.Context(), j, r.message(j)); !own || err != nil {
		r.t.Fatalf("record: %t, %v", own, err)
	}
}

// A list by index shows what was made, set, ended, run again and deleted just before,
// through any frontend, also of jobs that have no labels.
func TestKeptIndex(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		clients := []*Client{r.client(), r.client()}
		byModel := func(model string, status KeptStatus, want ...*Job) {
			t.Helper()
			var ids []ID
			for _, j := range want {
				ids = append(ids, j.ID)
			}
			for i, cl := range clients {
				if got := r.list(cl, "acme", KeptQuery{Model: model, Status: status}); !slices.Equal(got, ids) {
					t.Errorf("frontend %d, %s %s: %v, want %v", i, model, status, got, ids)
				}
			}
		}
		byPair := func(value string, want ...*Job) {
			t.Helper()
			q := KeptQuery{Metadata: map[string]string{"team": value}}
			for i, cl := range clients {
				got := r.list(cl, "acme", q)
				if len(got) != len(want) || len(want) > 0 && got[0] != want[0].ID {
					t.Errorf("frontend %d, team %s: %v", i, value, got)
				}
			}
		}
		made := func(ago time.Duration, put func(*Job)) *Job {
			j := recordedJob(ago)
			j.Model, j.Keep.Metadata = "blue", map[string]string{"team": "a"}
			put(j)
			return j
		}
		first, old := made(3*time.Hour, r.label), made(2*time.Hour, r.record)
		byModel("blue", KeptCompleted)
		r.conclude(first, &Result{Status: Completed, Body: []byte("{}")})
		r.conclude(old, &Result{Status: Errored, Error: protocol.ErrInternal()})
		byModel("blue", KeptCompleted, first)
		byModel("blue", KeptFailed, old)
		byModel("red", KeptCompleted)
		byPair("a", first)
		if _, err := clients[0].SetMetadata(t.Context(), "acme", first.ID, map[string]string{"team": "b"}); err != nil {
			t.Fatal(err)
		}
		byPair("a")
		byPair("b", first)

		earlier := made(4*time.Hour, r.label) // sorts before what the index has
		r.conclude(earlier, &Result{Status: Completed, Body: []byte("{}")})
		byModel("blue", KeptCompleted, earlier, first)
		if err := r.conn.RetryJob(t.Context(), old.ID); err != nil {
			t.Fatal(err)
		}
		byModel("blue", KeptFailed)
		r.conclude(old, &Result{Status: Completed, Body: []byte("{}")})
		byModel("blue", KeptCompleted, earlier, first, old)
		if err := clients[1].DeleteKept(t.Context(), "acme", first.ID); err != nil {
			t.Fatal(err)
		}
		byModel("blue", KeptCompleted, earlier, old)
		for _, cl := range clients {
			x := cl.lists.index("acme", time.Now())
			if !slices.IsSortedFunc(x.entries, func(a, b keptEntry) int { return bytes.Compare(a.id[:], b.id[:]) }) {
				t.Error("not in order")
			}
		}
	})
}

// Few lists of a tenant are answered at a time, and those that wait take no place
// from other tenants.
func TestListsWaitForEachOther(t *testing.T) {
	var l keptLists
	var leave []func()
	for range listsOfTenant {
		_, done, err := l.enter(t.Context(), "busy")
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, done)
	}
	var wg sync.WaitGroup
	waiting, stop := context.WithCancel(t.Context())
	failed := make(chan error, 2*listsMost)
	for range 2 * listsMost {
		wg.Go(func() {
			_, done, err := l.enter(waiting, "busy")
			if err == nil {
				done()
			}
			failed <- err
		})
	}
	if _, done, err := l.enter(t.Context(), "calm"); err != nil {
		t.Error(err)
	} else {
		done()
	}
	stop()
	wg.Wait()
	for range 2 * listsMost {
		if err := <-failed; err == nil {
			t.Fatal("one more was answered")
		}
	}
	for _, done := range leave {
		done()
	}
	if len(l.room) != 0 || len(l.index("busy", time.Now()).room) != 0 {
		t.Error("places are lost")
	}
	now := time.Now()
	l.index("busy", now).used = now.Add(-2 * indexIdle)
	if l.index("calm", now); l.indexes["busy"] != nil {
		t.Error("an index that nobody uses is kept")
	}
}

func TestIndexesAreBounded(t *testing.T) {
	var l keptLists
	l.indexes = map[string]*keptIndex{}
	now := time.Now()
	old, young := l.index("old", now.Add(-time.Minute)), l.index("young", now)
	l.grown(old, indexMost/2)
	l.grown(young, indexMost/2)
	if len(l.indexes) != 2 {
		t.Fatal("dropped below the bound")
	}
	l.grown(young, indexMost)
	if l.indexes["old"] != nil || l.indexes["young"] == nil {
		t.Errorf("%v", l.indexes)
	}
}

func TestLabels(t *testing.T) {
	j := recordedJob(0)
	j.Model, j.Keep.Metadata = "m", map[string]string{"a": "1", "b": "2"}
	model, pairs, ok := readLabel(recordLabel(j))
	if !ok || model != modelHash("m") || !slices.Equal(pairs, []uint32{pairHash("a", "1"), pairHash("b", "2")}) {
		t.Errorf("%s: %x %x %t", recordLabel(j), model, pairs, ok)
	}
	if _, pairs, ok := readLabel(pairsLabel(nil)); !ok || pairs != nil {
		t.Errorf("of no metadata: %v %t", pairs, ok)
	}
	for _, bad := range []string{"", "x", "zz.1", "1.zz", "123456789a."} {
		if _, _, ok := readLabel(bad); ok {
			t.Errorf("%q is a label", bad)
		}
	}
	for s := range Deleted + 2 {
		want := s
		if s > Deleted {
			want = 0
		}
		if got := readResultLabel(resultLabel(s)); got != want {
			t.Errorf("status %d is read as %d", s, got)
		}
	}
}
