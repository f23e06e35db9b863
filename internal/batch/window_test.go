package batch

import (
	"testing"
	"time"
)

// take submits lines of a batch until it has no more room.
func take(w *window, batch, tenant string, now time.Time) (n int) {
	for {
		may, has := w.room(batch, tenant, "p", now)
		if has >= may {
			return has
		}
		w.submitted(batch, "p", 1)
	}
}

// A pool gets twice as many lines as it runs; tenants share them, then batches.
func TestWindow(t *testing.T) {
	w, now := newWindow(100, 1000), time.Unix(1000, 0)
	if n := take(w, "a", "t1", now); n != 100 {
		t.Errorf("%d lines at first", n)
	}
	for range 100 {
		w.began("a", "p")
	}
	if n := take(w, "a", "t1", now); n != 200 {
		t.Errorf("%d lines while 100 run", n)
	}
	for range 100 {
		w.ended("a", "p", 1, true, true, now)
		w.submitted("a", "p", 1)
		w.began("a", "p")
	}
	now = now.Add(sharesFor)
	if n := take(w, "b", "t2", now); n != 100 {
		t.Errorf("another tenant gets %d of 200", n)
	}
	now = now.Add(sharesFor)
	w.room("a", "t1", "p", now)
	if n := take(w, "c", "t2", now); n != 50 {
		t.Errorf("the tenant's second batch gets %d of its 100", n)
	}
	w.leave("b")
	if may, _ := w.room("c", "t2", "p", now); may != 100 {
		t.Errorf("it may have %d once the first is gone", may)
	}
	now = now.Add(hungryFor) // the first tenant asks for nothing any more
	if may, _ := w.room("c", "t2", "p", now); may != 200 {
		t.Errorf("it may have %d once nobody else asks", may)
	}
}

func TestWindowIsBounded(t *testing.T) {
	w, now := newWindow(100, 300), time.Unix(1000, 0)
	for range 5 {
		take(w, "a", "t", now)
		for range 100 {
			w.began("a", "p")
		}
	}
	if n := take(w, "a", "t", now); n != 300 {
		t.Errorf("%d lines of at most 300", n)
	}
	w.leave("a")
	if len(w.pools) != 0 {
		t.Errorf("%d pools are remembered", len(w.pools))
	}
}

// A pool that is fast gets as many lines as it finishes, although few run at once.
func TestWindowFollowsTheRate(t *testing.T) {
	w, now := newWindow(10, 10_000), time.Unix(1000, 0)
	for range 40 {
		take(w, "a", "t", now)
		for range 50 { // a line takes no time: 500 in a second
			w.submitted("a", "p", 1)
			w.ended("a", "p", 1, false, true, now)
		}
		now = now.Add(100 * time.Millisecond)
	}
	if may, _ := w.room("a", "t", "p", now); may < 1000 || may > 3000 {
		t.Errorf("%d lines at 500 a second", may)
	}
	now = now.Add(time.Minute)
	if may, _ := w.room("a", "t", "p", now); may != 10 {
		t.Errorf("%d lines after a minute of nothing", may)
	}
}

// Large lines leave room in the queue; a batch may always have one of them.
func TestWindowBoundsBytes(t *testing.T) {
	w, now := newWindow(100, 1000), time.Unix(1000, 0)
	for range 4 {
		w.room("a", "t", "p", now)
		w.submitted("a", "p", mostBytes/4)
	}
	if may, has := w.room("a", "t", "p", now); may > has {
		t.Errorf("it has %d and may have %d", has, may)
	}
	if may, has := w.room("b", "t", "p", now); may <= has {
		t.Error("another batch may have none")
	}
	w.leave("a")
	if may, _ := w.room("b", "t", "p", now); w.bytes != 0 || may < 2 {
		t.Errorf("%d bytes are left, it may have %d", w.bytes, may)
	}
}
