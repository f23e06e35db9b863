package histogram_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/bench/histogram"
)

var shares = []float64{0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1}

// TestExactQuantiles compares with quantiles of the sorted samples.
func TestExactQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	shapes := map[string]func() time.Duration{
		"nanoseconds": func() time.Duration { return time.Duration(rng.IntN(2500)) },
		"even":        func() time.Duration { return time.Duration(rng.Int64N(int64(time.Second))) },
		"exponential": func() time.Duration { return time.Duration(rng.ExpFloat64() * 1e6) },
		"wide":        func() time.Duration { return time.Duration(math.Exp(rng.Float64()*29)) - 1 },
		"one":         func() time.Duration { return 12_345_678 },
	}
	for name, sample := range shapes {
		for _, n := range []int{1, 2, 3, 10, 999, 20_000} {
			var h histogram.Histogram
			var all []time.Duration
			var sum time.Duration
			for range n {
				d := sample()
				h.Record(d)
				all = append(all, d)
				sum += d
			}
			slices.Sort(all)
			for i, got := range h.Quantiles(shares...) {
				want := all[max(int(math.Ceil(shares[i]*float64(n))), 1)-1]
				if got < want || float64(got) > float64(want)*1.001 {
					t.Errorf("%s, %d: share %g is %d, want %d", name, n, shares[i], got, want)
				}
			}
			if h.Count() != uint64(n) || h.Max() != all[n-1] || h.Mean() != sum/time.Duration(n) {
				t.Errorf("%s, %d: count %d, max %d, mean %d", name, n, h.Count(), h.Max(), h.Mean())
			}
		}
	}
}

func TestExtremes(t *testing.T) {
	var h histogram.Histogram
	if q := h.Quantiles(0.5, 1); q[0] != 0 || q[1] != 0 || h.Mean() != 0 {
		t.Errorf("of nothing: %v", q)
	}
	h.Record(-time.Second)
	if q := h.Quantiles(1); q[0] != 0 || h.Count() != 1 {
		t.Errorf("negative: %v, %d", q, h.Count())
	}
	h.Record(math.MaxInt64)
	if h.Max() != math.MaxInt64 || h.Count() != 2 {
		t.Errorf("longest: %d, %d", h.Max(), h.Count())
	}
}

// TestTogether records from many goroutines and adds two histograms up.
func TestTogether(t *testing.T) {
	var a, b histogram.Histogram
	var wg sync.WaitGroup
	for g := range 8 {
		h := &a
		if g%2 == 1 {
			h = &b
		}
		wg.Go(func() {
			for i := range 1000 {
				h.Record(time.Duration(g*1000 + i))
			}
		})
	}
	wg.Wait()
	a.Add(&b)
	if a.Count() != 8000 || a.Max() != 7999 || a.Mean() != 3999 {
		t.Errorf("count %d, max %d, mean %d", a.Count(), a.Max(), a.Mean())
	}
	if q := a.Quantiles(0.125, 0.5); q[0] != 999 || q[1] < 3999 || q[1] > 4003 {
		t.Errorf("quantiles %v", q)
	}
}

func BenchmarkRecord(b *testing.B) {
	var h histogram.Histogram
	b.ReportAllocs()
	d := time.Duration(1)
	for b.Loop() {
		h.Record(d)
		d = d*5/4 + 1
		if d > time.Second {
			d = 1
		}
	}
}
