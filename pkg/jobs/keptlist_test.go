package jobs

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// list reads every page of a query and returns the ids.
func (r *rig) list(cl *Client, tenant string, q KeptQuery) (ids []ID) {
	r.t.Helper()
	for {
		items, more, err := cl.ListKept(r.t.Context(), tenant, q)
		if err != nil {
			r.t.Fatal(err)
		}
		if ids == nil {
			r.listedByHours(cl, tenant, q, items, more)
		}
		if limit := cmp.Or(q.Limit, 20); len(items) > limit {
			r.t.Errorf("a page of %d, the limit is %d", len(items), limit)
		}
		for _, k := range items {
			if k.Job.Body != nil {
				r.t.Error("listed with its request")
			}
			ids = append(ids, k.Job.ID)
		}
		if !more {
			return ids
		}
		if len(items) == 0 {
			r.t.Fatal("an empty page, and more")
		}
		q.After = items[len(items)-1].Job.ID
	}
}

// listedByHours checks a page against the one that comes of going through the hours.
func (r *rig) listedByHours(cl *Client, tenant string, q KeptQuery, want []*Kept, more bool) {
	r.t.Helper()
	setDefault(&q.Limit, 20)
	setDefault(&q.Status, KeptCompleted)
	hours, err := cl.conn.hoursOf(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	got, gotMore, err := cl.listHours(r.t.Context(), tenant, hours, q, 0)
	same := slices.EqualFunc(got, want, func(a, b *Kept) bool { return a.Job.ID == b.Job.ID })
	if err != nil || gotMore != more || !same {
		r.t.Errorf("by %d hours: %d jobs, %t, %v; at once %d, %t", len(hours), len(got), gotMore, err, len(want), more)
	}
}

// Hundreds of jobs of several hours are listed page by page, each once, in order,
// from either end, by status, model and metadata.
func TestListKept(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		const count = 400 // more an hour than are read together
		cl := r.client()
		if ids := r.list(cl, "acme", KeptQuery{}); ids != nil {
			t.Fatalf("of nothing: %v", ids)
		}
		made := make([]*Job, count)
		var group errgroup.Group
		group.SetLimit(32)
		for i := range made {
			j := recordedJob(time.Duration(i) * 50 * time.Second) // five and a half hours
			j.Model = fmt.Sprintf("m%d", i%3)
			j.Keep.Metadata = map[string]string{"tens": strconv.Itoa(i / 10)}
			made[i] = j
			group.Go(func() error {
				r.record(j)
				switch i % 10 {
				case 0:
					r.conclude(j, &Result{Status: Cancelled})
				case 1:
					r.conclude(j, &Result{Status: Deleted})
				default:
					r.conclude(j, &Result{Status: Completed, Body: []byte("{}")})
				}
				return nil
			})
		}
		hidden, foreign := recordedJob(0), recordedJob(0)
		hidden.Keep.Hidden, foreign.Tenant = true, "umbrella"
		for _, j := range []*Job{hidden, foreign} {
			r.record(j)
			r.conclude(j, &Result{Status: Completed})
		}
		_ = group.Wait()
		if _, err := cl.SetMetadata(t.Context(), "acme", made[2].ID, map[string]string{"tens": "none"}); err != nil {
			t.Fatal(err)
		}
		pick := func(selected func(i int) bool) (ids []ID) { // newest first
			for i, j := range made {
				if selected(i) {
					ids = append(ids, j.ID)
				}
			}
			return ids
		}
		completed := pick(func(i int) bool { return i%10 > 1 })
		for name, c := range map[string]struct {
			q    KeptQuery
			want []ID
		}{
			"completed":  {KeptQuery{Limit: 40}, completed},
			"odd pages":  {KeptQuery{Limit: 31}, completed},
			"one page":   {KeptQuery{Limit: 400}, completed},
			"after one":  {KeptQuery{Limit: 100, After: completed[159]}, completed[160:]},
			"cancelled":  {KeptQuery{Status: KeptCancelled, Limit: 24}, pick(func(i int) bool { return i%10 == 0 })},
			"none":       {KeptQuery{Status: KeptFailed, Limit: 60}, nil},
			"model":      {KeptQuery{Model: "m1", Limit: 60}, pick(func(i int) bool { return i%10 > 1 && i%3 == 1 })},
			"metadata":   {KeptQuery{Metadata: map[string]string{"tens": "0"}}, completed[1:8]},
			"as changed": {KeptQuery{Metadata: map[string]string{"tens": "none"}}, completed[:1]},
		} {
			t.Run(name, func(t *testing.T) {
				c.q.Descending = true
				if got := r.list(cl, "acme", c.q); !slices.Equal(got, c.want) {
					t.Errorf("newest first: %d of %d, or others", len(got), len(c.want))
				}
				if c.q.Descending = false; !c.q.After.IsZero() {
					return
				}
				want := slices.Clone(c.want)
				slices.Reverse(want)
				if got := r.list(cl, "acme", c.q); !slices.Equal(got, want) {
					t.Errorf("oldest first: %d of %d, or others", len(got), len(c.want))
				}
			})
		}
		if got := r.list(cl, "acme", KeptQuery{After: completed[159], Limit: 50}); len(got) != 159 || got[0] != completed[158] {
			t.Errorf("oldest first, after one: %d", len(got))
		}
		if got := r.list(cl, "umbrella", KeptQuery{}); !slices.Equal(got, []ID{foreign.ID}) {
			t.Errorf("another tenant has %v", got)
		}
	})
}

// Jobs that have not ended are listed by asking where they are.
func TestListKeptThatWaits(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		cl := r.client()
		waits, runs, over := recordedJob(0), recordedJob(0), recordedJob(0)
		over.Timeout = time.Second
		for _, j := range []*Job{waits, runs, over} {
			r.record(j)
			r.enqueue(j)
		}
		r.events(runs, mark(replayStarted, 1, 1))
		for status, want := range map[KeptStatus]ID{KeptQueued: waits.ID, KeptRunning: runs.ID, KeptFailed: over.ID} {
			within(t, patience, string(status)+" is listed", func() bool {
				items, more, err := cl.ListKept(t.Context(), "acme", KeptQuery{Status: status})
				return err == nil && !more && len(items) == 1 && items[0].Job.ID == want
			})
		}
	})
}

// A page of long answers ends early.
func TestListKeptPageIsBounded(t *testing.T) {
	page := &keptPage{q: KeptQuery{Limit: 10}}
	long := &Kept{Job: &Job{}, Result: &Result{Body: make([]byte, listBytes+1)}}
	if page.add([]*Kept{nil, long}) {
		t.Fatal("full before there is another")
	}
	if !page.add([]*Kept{long}) || len(page.items) != 1 {
		t.Fatalf("%d items", len(page.items))
	}
}

func TestHoursBetween(t *testing.T) {
	at := time.Date(2026, 2, 28, 23, 59, 59, 0, time.FixedZone("east", 3600))
	want := []string{"2026022822", "2026022823", "2026030100"}
	if got := hoursBetween(at, at.Add(90*time.Minute), false); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	slices.Reverse(want)
	if got := hoursBetween(at, at.Add(90*time.Minute), true); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := hoursBetween(at, at.Add(-time.Second), true); len(got) != 1 {
		t.Errorf("of one hour: %v", got)
	}
	if got := hoursBetween(at, at.Add(-2*time.Hour), true); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}
