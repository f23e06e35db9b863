// Package histogram counts durations in constant memory and tells their quantiles.
//
// Each power of two is cut into 1024 equal buckets: a quantile is never less than the
// true sample and at most 0.1 % above it. Durations below 2 µs are exact.
package histogram

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	subBits = 10
	sub     = 1 << subBits
	maxBits = 43 // durations up to 2^43 ns, two hours and a half; longer ones count as that
	buckets = (maxBits - subBits + 1) * sub
)

// Histogram counts durations. The zero value is ready. Record is safe for concurrent
// use, also beside the readers, who then see some of what is being recorded.
type Histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64
	max    atomic.Int64
}

// Record counts one duration; a negative one as none at all.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))].Add(1)
	h.sum.Add(int64(d))
	for {
		old := h.max.Load()
		if int64(d) <= old || h.max.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// bucket is the place of a duration of v nanoseconds.
func bucket(v uint64) int {
	if v < 2*sub {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1 // leaves the first subBits+1 bits
	return min(shift*sub+int(v>>shift), buckets-1)
}

// highest is the largest duration that falls into bucket i.
func highest(i int) time.Duration {
	if i < 2*sub {
		return time.Duration(i)
	}
	shift := i/sub - 1
	return time.Duration((uint64(i-shift*sub)+1)<<shift - 1)
}

// Add counts what o counted.
func (h *Histogram) Add(o *Histogram) {
	for i := range o.counts {
		if n := o.counts[i].Load(); n > 0 {
			h.counts[i].Add(n)
		}
	}
	h.sum.Add(o.sum.Load())
	h.max.Store(max(h.max.Load(), o.max.Load()))
}

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 {
	var n uint64
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Max is the longest duration, exactly.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max.Load()) }

// Mean is the exact mean; 0 of nothing.
func (h *Histogram) Mean() time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	return time.Duration(h.sum.Load() / int64(n))
}

// Quantiles returns the durations that the given shares, from 0 to 1 and rising, of all
// durations do not exceed; 0 of nothing.
func (h *Histogram) Quantiles(shares ...float64) []time.Duration {
	out := make([]time.Duration, len(shares))
	n := h.Count()
	if n == 0 {
		return out
	}
	var seen uint64
	bucket := -1
	for k, share := range shares {
		rank := min(max(uint64(math.Ceil(share*float64(n))), 1), n)
		for seen < rank {
			bucket++
			seen += h.counts[bucket].Load()
		}
		out[k] = min(highest(bucket), h.Max())
	}
	return out
}
