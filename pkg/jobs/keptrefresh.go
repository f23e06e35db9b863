package jobs

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// keptChanges are the jobs that came since an index was last brought up to date.
type keptChanges struct {
	index *keptIndex
	fresh map[ID]*keptEntry
}

// entry returns the entry of a job, which may be new.
func (ch *keptChanges) entry(id ID) *keptEntry {
	if at, ok := ch.index.find(id); ok {
		return &ch.index.entries[at]
	}
	e := ch.fresh[id]
	if e == nil {
		e = &keptEntry{id: id}
		ch.fresh[id] = e
	}
	return e
}

// takeRecord notes the head of a record or of metadata.
func (ch *keptChanges) takeRecord(h head) {
	at := strings.LastIndexByte(h.subject, '.')
	id, ok := idOfRecord(h.subject)
	if !ok {
		return
	}
	e := ch.entry(id)
	model, pairs, known := readLabel(h.label)
	switch h.subject[at+1:] {
	case "record":
		e.record, e.status, e.model, e.known = h.seq, 0, model, known
		if e.metadata == 0 {
			e.pairs = pairs
		}
	case "metadata":
		e.metadata, e.pairs = h.seq, pairs
		e.known = e.known && known
	}
}

// takeResult notes the head of a result.
func (ch *keptChanges) takeResult(h head) {
	id, err := ParseID(h.subject[strings.LastIndexByte(h.subject, '.')+1:])
	if err != nil {
		return
	}
	if at, ok := ch.index.find(id); ok {
		ch.index.entries[at].status = readResultLabel(h.label)
	}
}

// merge puts the new entries among the others.
func (ch *keptChanges) merge() {
	x := ch.index
	for _, e := range ch.fresh {
		if e.record != 0 { // else deleted meanwhile
			x.entries = append(x.entries, *e)
		}
	}
	slices.SortFunc(x.entries, func(a, b keptEntry) int { return bytes.Compare(a.id[:], b.id[:]) })
}

// refresh brings the index up to date: every record is in it that was acknowledged
// before.
func (c *Conn) refresh(ctx context.Context, x *keptIndex) error {
	if err := c.refreshRecords(ctx, x); err != nil {
		return err
	}
	return c.refreshResults(ctx, x)
}

func (c *Conn) refreshRecords(ctx context.Context, x *keptIndex) error {
	filters := []string{c.n.recordsOf(x.tenant, "*"), c.n.metadataOf(x.tenant)}
	last, err := c.lastOf(ctx, c.n.keptStream(), filters)
	if err != nil {
		return err
	}
	if last <= x.records {
		return c.prune(ctx, x)
	}
	h, err := c.openHeads(ctx, c.n.keptStream(), filters, x.records+1, time.Time{})
	if err != nil {
		return err
	}
	defer h.close(ctx)
	ch := keptChanges{index: x, fresh: map[ID]*keptEntry{}}
	read := x.records
	for end := time.Now().Add(indexWait); read < last || h.pending > 0; {
		if h.pending+uint64(len(x.entries)+len(ch.fresh)) > indexMost {
			return errNoIndex
		}
		n, err := h.next(ctx, 50*time.Millisecond, func(m head) {
			ch.takeRecord(m)
			read = m.seq
		})
		if err != nil {
			return err
		}
		if n > 0 || time.Now().Before(end) {
			continue
		}
		// The replica lags behind, or what was last is gone by now.
		if last, err = c.lastOf(ctx, c.n.keptStream(), filters); err != nil {
			return err
		}
		if last > read {
			return errRace
		}
	}
	ch.merge()
	x.records = max(read, x.records)
	return c.prune(ctx, x)
}

// lastOf returns the number of the last message that one of the filters selects, by
// the leader's word; 0 if there is none.
func (c *Conn) lastOf(ctx context.Context, stream string, filters []string) (last uint64, err error) {
	for _, filter := range filters {
		m, err := c.leaderGet(ctx, stream, question{LastFor: filter})
		if err == nil {
			last = max(last, m.Seq)
		} else if !errors.Is(err, errNotStored) {
			return 0, err
		}
	}
	return last, nil
}

// refreshResults notes results of the hours in which the index has jobs. That some are
// missed does no harm: a job without a known status is read.
func (c *Conn) refreshResults(ctx context.Context, x *keptIndex) error {
	info, err := c.subjects(ctx, c.n.resultsStream(), "", 0)
	if err != nil {
		return err
	}
	if info.State.Last <= x.results || len(x.entries) == 0 {
		return nil
	}
	h, err := c.openHeads(ctx, c.n.resultsStream(), c.hourFilters(x), x.results+1, time.Time{})
	if err != nil {
		return err
	}
	defer h.close(ctx)
	ch := keptChanges{index: x}
	read := info.State.Last
	for h.pending > 0 {
		n, err := h.next(ctx, time.Second, func(m head) {
			ch.takeResult(m)
			read = max(read, m.seq)
		})
		if err != nil {
			return err
		}
		if n == 0 { // it came later, to a replica that lags behind
			return nil
		}
	}
	x.results = read
	return nil
}

// hourFilters selects the results of the hours of which there are jobs: those of
// batches, which share the stream, stay out.
func (c *Conn) hourFilters(x *keptIndex) []string {
	var filters []string
	last := ""
	for i := range x.entries {
		if hour := hourOf(x.entries[i].id); hour != last {
			last = hour
			filters = append(filters, c.n.result(x.tenant, hour, "*"))
		}
	}
	return filters
}

// prune drops jobs whose records have expired.
func (c *Conn) prune(ctx context.Context, x *keptIndex) error {
	if time.Since(x.pruned) < indexPrune {
		return nil
	}
	info, err := c.subjects(ctx, c.n.keptStream(), "", 0)
	if err != nil {
		return err
	}
	x.pruned = time.Now()
	x.entries = slices.DeleteFunc(x.entries, func(e keptEntry) bool {
		return e.record < info.State.FirstSeq || e.status == Deleted
	})
	return nil
}
