package jobs

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// listTogether bounds the reads that one list has under way.
	listTogether = 16
	// listBytes bounds the answers of a page, and its requests; it may end early.
	listBytes = 16 << 20
	// idsBefore is how much older than its record an id may be: one that was claimed
	// for an idempotency key, and submitted when the key came again.
	idsBefore = claimAge + time.Hour
	// idsAhead is how far ahead the clock of whoever made an id may be.
	idsAhead = time.Hour
)

// KeptQuery selects kept jobs.
type KeptQuery struct {
	After      ID                // the last one of the page before; zero: none
	Limit      int               // of a page; 0: 20
	Descending bool              // newest first
	Model      string            // as the client named it; "" any
	Metadata   map[string]string // pairs that it must have
	Status     KeptStatus        // "": completed
	SmallBody  bool              // the requests as well, but for those too large for one message
}

// ListKept returns a tenant's kept jobs in the order in which they were made, and
// whether there are more after them. Hidden ones are not among them. A page may be
// shorter than its limit if what is in it is long. Errors are *protocol.Errors.
//
// A tenant's many jobs are gone through by the hours in which they can have been
// made, several at once. Jobs are read that are returned or have to be looked at: a
// filter that selects few of many is slow.
func (cl *Client) ListKept(ctx context.Context, tenant string, q KeptQuery) (items []*Kept, more bool, err error) {
	if !validToken(tenant) {
		return nil, false, nil
	}
	hours, err := cl.conn.keptHours(ctx, tenant, q)
	if err == nil {
		items, more, err = cl.listHours(ctx, tenant, hours, q)
	}
	return items, more, keptError("list kept jobs", err)
}

// listHours lists the jobs of these hours, in their order.
func (cl *Client) listHours(ctx context.Context, tenant string, hours []string, q KeptQuery) (items []*Kept, more bool, err error) {
	setDefault(&q.Limit, 20)
	setDefault(&q.Status, KeptCompleted)
	page := &keptPage{q: q}
	for wave := 2; len(hours) > 0; wave = min(2*wave, 8*listTogether) {
		n := min(wave, len(hours))
		found, err := cl.conn.keptIn(ctx, tenant, hours[:n])
		if err != nil {
			return nil, false, err
		}
		hours = hours[n:]
		for _, list := range found {
			for list = selectIDs(list, q.After, q.Descending); len(list) > 0; {
				n := min(page.missing(), len(list))
				read, err := cl.readListed(ctx, tenant, q, list[:n])
				if err != nil {
					return nil, false, err
				}
				list = list[n:]
				if page.add(read) {
					return page.items, true, nil
				}
			}
		}
	}
	return page.items, false, nil
}

// keptPage gathers a page.
type keptPage struct {
	q     KeptQuery
	items []*Kept
	bytes int
}

// missing is how many jobs to read next: one more than the page takes, to know
// whether there are more.
func (p *keptPage) missing() int {
	return min(max(p.q.Limit+1-len(p.items), 4), 2*listTogether)
}

// add takes what was read, nil for what was not selected, and reports whether the
// page is full and there are more.
func (p *keptPage) add(read []*Kept) (full bool) {
	for _, k := range read {
		switch {
		case k == nil:
			continue
		case len(p.items) == p.q.Limit, len(p.items) > 0 && p.bytes > listBytes:
			return true
		}
		p.items = append(p.items, k)
		p.bytes += len(k.Job.Body)
		if k.Result != nil {
			p.bytes += len(k.Result.Body)
		}
	}
	return false
}

// readListed reads jobs together; what the query does not select is nil.
func (cl *Client) readListed(ctx context.Context, tenant string, q KeptQuery, ids []ID) ([]*Kept, error) {
	read := make([]*Kept, len(ids))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(listTogether)
	for i, id := range ids {
		group.Go(func() (err error) {
			read[i], err = cl.readSelected(gctx, tenant, q, id)
			return err
		})
	}
	return read, group.Wait()
}

// readSelected returns the job if the query selects it, else nil.
func (cl *Client) readSelected(ctx context.Context, tenant string, q KeptQuery, id ID) (*Kept, error) {
	c := cl.conn
	rec, err := c.readRecord(ctx, tenant, id)
	if errors.Is(err, ErrNotKept) { // deleted just now
		return nil, nil
	}
	if err != nil || q.Model != "" && rec.job.Model != q.Model {
		return nil, err
	}
	k := &Kept{Job: rec.job, Metadata: rec.job.Keep.Metadata, Status: KeptQueued}
	set, err := c.readMetadata(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	if set != nil {
		k.Metadata = *set
	}
	for name, value := range q.Metadata {
		if have, ok := k.Metadata[name]; !ok || have != value {
			return nil, nil
		}
	}
	r, err := c.resultIfAny(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	waits := q.Status == KeptQueued || q.Status == KeptRunning
	switch end := rec.deadline(); {
	case r != nil:
		err = k.end(r)
	case waits, !end.IsZero() && time.Now().After(end):
		err = cl.locate(ctx, k, rec)
	}
	if errors.Is(err, ErrNotKept) {
		return nil, nil
	}
	if err != nil || k.Status != q.Status {
		return nil, err
	}
	if !q.SmallBody {
		k.Job.Body = nil
	}
	return k, nil
}
