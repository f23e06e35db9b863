package worker

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

func TestOrder(t *testing.T) {
	for name, test := range map[string]struct {
		weights []int
		draws   []int
		want    []int
	}{
		"no targets":              {nil, nil, []int{}},
		"no weights keep places":  {[]int{0, 0, 0}, nil, []int{0, 1, 2}},
		"lone weight is no group": {[]int{5, 0}, nil, []int{0, 1}},
		"first drawn":             {[]int{3, 1}, []int{2}, []int{0, 1}},
		"second drawn":            {[]int{3, 1}, []int{3}, []int{1, 0}},
		"three drawn":             {[]int{1, 1, 2}, []int{3, 1}, []int{2, 1, 0}},
		"rest keeps its order":    {[]int{1, 1, 1}, []int{2, 0}, []int{2, 0, 1}},
		"group before fallback":   {[]int{1, 1, 0}, []int{1}, []int{1, 0, 2}},
		"two groups":              {[]int{1, 1, 0, 1, 1}, []int{1, 1}, []int{1, 0, 2, 4, 3}},
		"fallback before group":   {[]int{0, 1, 1}, []int{1}, []int{0, 2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			draws := test.draws
			got := order(test.weights, func(n int) int {
				if len(draws) == 0 || draws[0] >= n {
					t.Fatalf("draw(%d) with %v left", n, draws)
				}
				d := draws[0]
				draws = draws[1:]
				return d
			})
			if !slices.Equal(got, test.want) || len(draws) > 0 {
				t.Errorf("order is %v, not %v; draws left: %v", got, test.want, draws)
			}
		})
	}
}

func TestOrderFollowsWeights(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	first := make([]int, 3)
	const jobs = 10_000
	for range jobs {
		first[order([]int{70, 20, 10}, r.IntN)[0]]++
	}
	for i, want := range []int{7000, 2000, 1000} {
		if first[i] < want-300 || first[i] > want+300 {
			t.Errorf("target %d was first in %d of %d jobs, not about %d", i, first[i], jobs, want)
		}
	}
}

func TestJudge(t *testing.T) {
	r := Retries{Attempts: 3, Base: time.Second, Max: 10 * time.Second}
	for name, test := range map[string]struct {
		fault provider.Error
		calls int
		left  time.Duration
		step  step
		wait  time.Duration // with jitter 0.5
	}{
		"client fault":              {provider.Error{}, 1, noDeadline, stop, 0},
		"fallback only":             {provider.Error{Fallback: true}, 1, noDeadline, next, 0},
		"first retry":               {provider.Error{Retry: true, Fallback: true}, 1, noDeadline, again, 750 * time.Millisecond},
		"second retry is longer":    {provider.Error{Retry: true, Fallback: true}, 2, noDeadline, again, 1500 * time.Millisecond},
		"attempts used up":          {provider.Error{Retry: true, Fallback: true}, 3, noDeadline, next, 0},
		"retry alone may go on":     {provider.Error{Retry: true}, 3, noDeadline, next, 0},
		"retry-after is honoured":   {provider.Error{Retry: true, RetryAfter: 5 * time.Second}, 1, noDeadline, again, 5 * time.Second},
		"retry-after too long":      {provider.Error{Retry: true, RetryAfter: 11 * time.Second}, 1, noDeadline, next, 0},
		"no time left":              {provider.Error{Retry: true}, 1, 750 * time.Millisecond, next, 0},
		"no time for retry-after":   {provider.Error{Retry: true, RetryAfter: 5 * time.Second}, 1, 4 * time.Second, next, 0},
		"just enough time":          {provider.Error{Retry: true}, 1, 751 * time.Millisecond, again, 750 * time.Millisecond},
		"retry-after below backoff": {provider.Error{Retry: true, RetryAfter: time.Millisecond}, 1, noDeadline, again, 750 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			step, wait := judge(&test.fault, r, test.calls, test.left, 0.5)
			if step != test.step || wait != test.wait {
				t.Errorf("got step %d after %v, want %d after %v", step, wait, test.step, test.wait)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	r := Retries{Base: 500 * time.Millisecond, Max: 3 * time.Second}
	for calls, most := range map[int]time.Duration{
		1: 500 * time.Millisecond, 2: time.Second, 3: 2 * time.Second, 4: r.Max, 5: r.Max, 1 << 30: r.Max,
	} {
		if got := backoff(r, calls, 0); got != most/2 {
			t.Errorf("shortest wait after %d calls is %v, not %v", calls, got, most/2)
		}
		if got := backoff(r, calls, 0.999999); got < most*9/10 || got > most {
			t.Errorf("longest wait after %d calls is %v, not just below %v", calls, got, most)
		}
	}
}

func TestFaultsKeepTheBest(t *testing.T) {
	limit := func(after time.Duration) *protocol.Error { return protocol.ErrRateLimit("slow down", after) }
	bad, gone := protocol.ErrUpstream("bad"), protocol.ErrModelNotFound("m")
	short, long, open := limit(2*time.Second), limit(9*time.Second), limit(0)
	for name, test := range map[string]struct {
		seen []*protocol.Error
		want *protocol.Error
	}{
		"none":                        {nil, nil},
		"last of a kind":              {[]*protocol.Error{protocol.ErrUpstream("first"), bad}, bad},
		"all limited, shortest last":  {[]*protocol.Error{long, short}, short},
		"all limited, shortest first": {[]*protocol.Error{short, long}, short},
		"a time beats none":           {[]*protocol.Error{short, open}, short},
		"a time beats none before":    {[]*protocol.Error{open, short}, short},
		"server fault beats limit":    {[]*protocol.Error{bad, short}, bad},
		"server fault after limit":    {[]*protocol.Error{short, bad}, bad},
		"limit beats unknown model":   {[]*protocol.Error{short, gone}, short},
		"unknown model alone":         {[]*protocol.Error{gone}, gone},
	} {
		t.Run(name, func(t *testing.T) {
			var f faults
			for _, e := range test.seen {
				f.add(e)
			}
			if f.best != test.want {
				t.Errorf("best is %v, not %v", f.best, test.want)
			}
		})
	}
}
