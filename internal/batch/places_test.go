package batch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// hall is places and the batches in them, by the clock of a test.
type hall struct {
	*places
	clock time.Time
	here  []*seat
}

func newHall(most int) *hall {
	h := &hall{places: newPlaces(most), clock: time.Unix(1000, 0)}
	h.now = func() time.Time { return h.clock }
	return h
}

func (h *hall) create(tenant string) *seat {
	h.clock = h.clock.Add(time.Millisecond)
	s := h.enter(tenant, h.clock)
	h.here = append(h.here, s)
	return s
}

// later lets time pass; batches that are to give their places up do.
func (h *hall) later(d time.Duration) {
	h.clock = h.clock.Add(d)
	h.look()
	for again := true; again; {
		again = false
		for _, s := range h.here {
			if !s.giving.IsZero() {
				h.rest(s)
				again = true
			}
		}
	}
}

func (h *hall) driven() map[string]int {
	of := map[string]int{}
	for _, s := range h.here {
		if !s.began.IsZero() {
			of[s.tenant]++
		}
	}
	return of
}

// One tenant's batches do not hold another's back: it gets its share at once, and the
// youngest of the others make room.
func TestPlacesAreSharedByTenants(t *testing.T) {
	h := newHall(4)
	for range 10 {
		h.create("a")
	}
	if got := h.driven(); got["a"] != 4 || h.here[3].began.IsZero() {
		t.Errorf("alone: %v", got)
	}
	b := h.create("b")
	h.later(0)
	if got := h.driven(); got["a"] != 3 || b.began.IsZero() || !h.here[3].began.IsZero() {
		t.Errorf("with another tenant's batch: %v", got)
	}
	h.create("b")
	h.create("b")
	h.later(0)
	if got := h.driven(); got["a"] != 2 || got["b"] != 2 {
		t.Errorf("with three of its batches: %v", got)
	}
	h.leave(b)
	h.later(0)
	if got := h.driven(); got["a"] != 2 || got["b"] != 3 { // one of them left, and is counted no more
		t.Errorf("once one has ended: %v", got)
	}
}

// Tenants that cannot all have a place take turns.
func TestPlacesAreTakenInTurns(t *testing.T) {
	h := newHall(1)
	for range 3 {
		for _, tenant := range []string{"a", "b", "c"} {
			h.create(tenant)
		}
	}
	var turns []string
	for range 6 {
		for tenant := range h.driven() {
			turns = append(turns, tenant)
		}
		h.later(turnMost / 2)
		h.later(turnMost / 2)
	}
	if want := []string{"a", "b", "c", "a", "b", "c"}; !slices.Equal(turns, want) {
		t.Errorf("turns of %v, want %v", turns, want)
	}
	if h.here[0].began.IsZero() { // not a younger one of its tenant
		t.Errorf("the turn of %+v", h.here)
	}
}

// One that takes its time to give its place up does not keep others from it.
func TestPlacesWaitForNobody(t *testing.T) {
	h := newHall(4)
	for range 4 {
		h.create("a")
	}
	b := h.create("b")
	h.clock = h.clock.Add(givesWithin)
	h.look()
	giving := 0
	for _, s := range h.here[:4] {
		if !s.giving.IsZero() {
			giving++
		}
	}
	if giving != 2 || !b.began.IsZero() {
		t.Errorf("%d are asked for their places", giving)
	}
}

// When too many wait, the youngest of the tenant with most of them goes.
func TestPlacesExcess(t *testing.T) {
	h := newHall(1)
	h.create("a")
	if h.excess() != nil || h.first() != nil {
		t.Error("nobody waits")
	}
	h.create("b")
	h.create("a")
	last := h.create("a")
	h.create("b")
	h.create("a")
	if got := h.excess(); got.tenant != "a" || !got.since.After(last.since) {
		t.Errorf("%+v", got)
	}
	if got := h.first(); got.tenant != "b" || got.since.After(last.since) {
		t.Errorf("%+v", got)
	}
}

// Whatever happens, no more batches are driven than there are places, none is free
// while a batch waits, and in the end shares differ by one at most.
func TestPlacesProperty(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		h := newHall(1 + rnd.IntN(6))
		for range 60 {
			switch n := rnd.IntN(6); {
			case n < 3:
				h.create(fmt.Sprint("t", rnd.IntN(4)))
			case n < 4 && len(h.here) > 0:
				i := rnd.IntN(len(h.here))
				h.leave(h.here[i])
				h.here = slices.Delete(h.here, i, i+1)
			default:
				h.later(time.Duration(rnd.IntN(60)) * time.Second)
			}
			driven, waiting := h.count()
			if driven > h.most || waiting > 0 && driven < h.most {
				t.Fatalf("seed %d: %d of %d places taken, %d wait", seed, driven, h.most, waiting)
			}
		}
		h.later(0)
		of, wants := h.driven(), map[string]bool{}
		for _, s := range h.here {
			wants[s.tenant] = wants[s.tenant] || s.began.IsZero()
		}
		for tenant, waits := range wants {
			for other, n := range of {
				if waits && n > of[tenant]+1 {
					t.Fatalf("seed %d: %s has %d places while %s waits with %d", seed, other, n, tenant, of[tenant])
				}
			}
		}
	}
}
