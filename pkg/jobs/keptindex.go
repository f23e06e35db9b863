package jobs

import (
	"bytes"
	"errors"
	"slices"
	"time"
)

const (
	// indexMost bounds the jobs in all indexes of a client; one takes some 80 bytes. A
	// tenant with more is listed without an index.
	indexMost = 500_000
	// indexIdle is when the index of a tenant who lists nothing is dropped.
	indexIdle = 15 * time.Minute
	// indexWait bounds how long an index waits for a replica that lags behind.
	indexWait = 2 * time.Second
	// indexPrune is how often jobs whose time is over are looked for.
	indexPrune = time.Minute
)

// errNoIndex says that a tenant has more jobs than an index holds.
var errNoIndex = errors.New("too many jobs for an index")

// keptEntry is what an index knows of a job.
type keptEntry struct {
	id       ID
	record   uint64   // number of its record
	metadata uint64   // number of its metadata, if that was set later
	pairs    []uint32 // hashes of its metadata
	model    uint32   // hash
	known    bool     // model and pairs are
	status   ResultStatus
}

// keptIndex is what the headers of a tenant's kept jobs say, as far as they were
// read. It only ever rules out: what it does not know, or knows to fit, is read.
//
// Invariant: entries are sorted by id (TestKeptIndex).
type keptIndex struct {
	tenant string
	room   chan struct{} // a place for each list of the tenant that is answered
	used   time.Time     // guarded by keptLists.mu, as size
	size   int           // of entries, for others
	turn   chan struct{} // one place: whoever holds it may use what follows

	began   time.Time // of the last time that it was brought up to date
	entries []keptEntry
	records uint64 // everything up to this number was read
	results uint64
	pruned  time.Time
}

// find returns where the entry of id is, or would be.
func (x *keptIndex) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(x.entries, id, func(e keptEntry, id ID) int { return bytes.Compare(e.id[:], id[:]) })
}

// selects reports whether the entry may be one that q asks for.
func (e *keptEntry) selects(q *KeptQuery, model uint32, pairs []uint32) bool {
	if e.status != 0 && statusOf(e.status) != q.Status {
		return false
	}
	if !e.known {
		return true
	}
	if q.Model != "" && e.model != model {
		return false
	}
	for _, p := range pairs {
		if !slices.Contains(e.pairs, p) {
			return false
		}
	}
	return true
}

// statusOf is what an ended job is listed as; "" for one that was deleted.
func statusOf(s ResultStatus) KeptStatus {
	switch s {
	case Completed:
		return KeptCompleted
	case Errored:
		return KeptFailed
	case Cancelled:
		return KeptCancelled
	case Deleted:
	}
	return ""
}

// after returns up to n jobs that q and begun may select, in q's order, after one.
func (x *keptIndex) after(q *KeptQuery, begun begunJobs, after ID, n int) []keptEntry {
	var pairs []uint32
	for name, value := range q.Metadata {
		pairs = append(pairs, pairHash(name, value))
	}
	model := modelHash(q.Model)
	at, found := x.find(after)
	step := 1
	switch {
	case q.Descending && after.IsZero():
		at, step = len(x.entries)-1, -1
	case q.Descending:
		at, step = at-1, -1
	case found:
		at++
	}
	var list []keptEntry
	for ; at >= 0 && at < len(x.entries) && len(list) < n; at += step {
		if e := &x.entries[at]; e.selects(q, model, pairs) && begun.selects(e.id, q.Status) {
			list = append(list, *e)
		}
	}
	return list
}
