package load

import (
	"sync"
	"time"

	"github.com/osiris/osiris/internal/bench/histogram"
)

// record is what some of the workers have measured.
type record struct {
	accepted, first, gap, total, late histogram.Histogram

	mu                   sync.Mutex // guards all below
	right, chunks        int64      // measured
	allRight, allChunks  int64      // the warm-up included
	abandoned            int64
	failed               map[string]int64
	firstBegan, lastDone time.Time // of those measured
	sample               string    // the first failure in words
}

// turn is one request: when it was due and sent, and whether it is measured.
type turn struct {
	due, sent time.Time
	measured  bool
}

// add counts an answer. due is what its times count from.
func (r *record) add(t turn, o outcome, kind Kind, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed[kindOf(err)]++
		if r.sample == "" {
			r.sample = err.Error()
		}
		return
	}
	r.allRight++
	r.allChunks += int64(o.chunks)
	if !t.measured {
		return
	}
	if r.right == 0 || t.due.Before(r.firstBegan) {
		r.firstBegan = t.due
	}
	if o.done.After(r.lastDone) {
		r.lastDone = o.done
	}
	r.right++
	r.chunks += int64(o.chunks)
	r.total.Record(o.done.Sub(t.due))
	r.late.Record(t.sent.Sub(t.due))
	if kind == Stream && o.chunks > 0 {
		r.first.Record(o.first.Sub(t.due))
	}
	if kind == Kept {
		r.accepted.Record(o.accepted.Sub(t.due))
	}
}

func (r *record) abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.abandoned++
}

// merge adds what o measured.
func (r *record) merge(o *record) {
	r.accepted.Add(&o.accepted)
	r.first.Add(&o.first)
	r.gap.Add(&o.gap)
	r.total.Add(&o.total)
	r.late.Add(&o.late)
	if o.right > 0 {
		if r.right == 0 || o.firstBegan.Before(r.firstBegan) {
			r.firstBegan = o.firstBegan
		}
		if o.lastDone.After(r.lastDone) {
			r.lastDone = o.lastDone
		}
	}
	r.right += o.right
	r.chunks += o.chunks
	r.allRight += o.allRight
	r.allChunks += o.allChunks
	r.abandoned += o.abandoned
	for kind, n := range o.failed {
		r.failed[kind] += n
	}
	if r.sample == "" {
		r.sample = o.sample
	}
}
