package jobs

import (
	"runtime"
	"runtime/metrics"
	"sync"
)

const (
	// reclaimEvery is how many parts are read between two collections, reclaimAbove the
	// heap below which there are none, and reclaimReaders the readers that make them
	// worth it: one file alone is read block by block.
	reclaimEvery   = 8
	reclaimAbove   = 96 << 20
	reclaimReaders = 4
)

// reclaimer keeps a broker in this process from growing while many files are read.
// For one part the broker loads a block of 8 MB. It lets go of blocks at once, but at
// a garbage collection it takes their memory back into a pool, where it counts as in
// use for two more; so each collection comes twice as late as the one before, and
// some fifty downloads take a gigabyte. Collections by the number of parts keep the
// pool as large as what is read between two of them.
type reclaimer struct {
	mu      sync.Mutex
	readers int // that are open
	parts   int // read since the last collection
}

// open counts a reader in, and close out.
func (r *reclaimer) open()  { r.count(1) }
func (r *reclaimer) close() { r.count(-1) }

func (r *reclaimer) count(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readers += n
}

// read counts a part, and collects if it is time. It blocks while it does.
func (r *reclaimer) read() {
	if r.due() && heapInUse() > reclaimAbove {
		runtime.GC()
	}
}

func (r *reclaimer) due() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts++
	if r.parts < reclaimEvery || r.readers < reclaimReaders {
		return false
	}
	r.parts = 0
	return true
}

// heapInUse is how many bytes objects have, those among them that are garbage.
func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
