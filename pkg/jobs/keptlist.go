package jobs

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	// listTogether bounds the reads that one list has under way.
	listTogether = 16
	// listBytes bounds the answers of a page, and its requests; it may end early.
	listBytes = 16 << 20
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
// A list that selects most jobs goes through the hours in which they can have been
// made, several at once, and reads what it returns. One that selects few asks an
// index of the tenant's jobs, which is made when it is first needed and brought up to
// date by each list. A few lists of a tenant, and of all, are answered at a time;
// others wait.
func (cl *Client) ListKept(ctx context.Context, tenant string, q KeptQuery) (items []*Kept, more bool, err error) {
	if !validToken(tenant) {
		return nil, false, nil
	}
	x, leave, err := cl.lists.enter(ctx, tenant)
	if err != nil {
		return nil, false, protocol.ErrOverloaded(time.Second).Wrap(err)
	}
	defer leave()
	setDefault(&q.Limit, 20)
	setDefault(&q.Status, KeptCompleted)
	items, more, err = cl.list(ctx, x, tenant, q)
	return items, more, keptError("list kept jobs", err)
}

func (cl *Client) list(ctx context.Context, x *keptIndex, tenant string, q KeptQuery) (items []*Kept, more bool, err error) {
	if q.Model == "" && len(q.Metadata) == 0 && q.Status == KeptCompleted {
		items, more, err = cl.listByHours(ctx, tenant, q, listPatience)
		if !errors.Is(err, errSparse) {
			return items, more, err
		}
	}
	items, more, err = cl.listIndexed(ctx, x, q)
	if errors.Is(err, errNoIndex) || errors.Is(err, errRace) {
		return cl.listByHours(ctx, tenant, q, 0)
	}
	return items, more, err
}

// listPatience is how many jobs in a row a list reads that are not selected, until it
// asks the index.
const listPatience = 128

// errSparse says that a list selects few of many jobs.
var errSparse = errors.New("few jobs are selected")

// listByHours lists without an index. With a patience above 0 it may end with
// errSparse.
func (cl *Client) listByHours(ctx context.Context, tenant string, q KeptQuery, patience int) (items []*Kept, more bool, err error) {
	hours, err := cl.conn.keptHours(ctx, tenant, q)
	if err != nil {
		return nil, false, err
	}
	return cl.listHours(ctx, tenant, hours, q, patience)
}

// listHours lists the jobs of these hours, in their order.
func (cl *Client) listHours(ctx context.Context, tenant string, hours []string, q KeptQuery, patience int) (items []*Kept, more bool, err error) {
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
				read, err := cl.readListed(ctx, n, func(ctx context.Context, i int) (*Kept, error) {
					k, _, err := cl.readSelected(ctx, tenant, q, list[i])
					return k, err
				})
				if err != nil {
					return nil, false, err
				}
				list = list[n:]
				if page.add(read) {
					return page.items, true, nil
				}
				if patience > 0 && page.missed > patience {
					return nil, false, errSparse
				}
			}
		}
	}
	return page.items, false, nil
}

// keptPage gathers a page.
type keptPage struct {
	q      KeptQuery
	items  []*Kept
	bytes  int
	missed int // read since the last item, and not selected
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
			p.missed++
			continue
		case len(p.items) == p.q.Limit, len(p.items) > 0 && p.bytes > listBytes:
			return true
		}
		p.items, p.missed = append(p.items, k), 0
		p.bytes += len(k.Job.Body)
		if k.Result != nil {
			p.bytes += len(k.Result.Body)
		}
	}
	return false
}

// readListed reads jobs together; what the query does not select is nil.
func (cl *Client) readListed(ctx context.Context, n int, read func(ctx context.Context, i int) (*Kept, error)) ([]*Kept, error) {
	list := make([]*Kept, n)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(listTogether)
	for i := range list {
		group.Go(func() (err error) {
			list[i], err = read(gctx, i)
			return err
		})
	}
	return list, group.Wait()
}

// glimpse is what reading a job showed, for an index.
type glimpse struct {
	gone     bool              // it has no record
	status   ResultStatus      // 0: not ended, or not read
	model    string            // of its record
	metadata map[string]string // as it is now
	whole    bool              // model and metadata were read
}

// readSelected returns the job if the query selects it, else nil.
func (cl *Client) readSelected(ctx context.Context, tenant string, q KeptQuery, id ID) (_ *Kept, g glimpse, _ error) {
	c := cl.conn
	rec, err := c.readRecord(ctx, tenant, id)
	if errors.Is(err, ErrNotKept) { // deleted just now
		return nil, glimpse{gone: true}, nil
	}
	if err != nil {
		return nil, g, err
	}
	k := &Kept{Job: rec.job, Metadata: rec.job.Keep.Metadata, Status: KeptQueued}
	set, err := c.readMetadata(ctx, tenant, id)
	if err != nil {
		return nil, g, err
	}
	if set != nil {
		k.Metadata = *set
	}
	g = glimpse{model: rec.job.Model, metadata: k.Metadata, whole: true}
	if q.Model != "" && rec.job.Model != q.Model {
		return nil, g, nil
	}
	for name, value := range q.Metadata {
		if have, ok := k.Metadata[name]; !ok || have != value {
			return nil, g, nil
		}
	}
	r, err := c.resultIfAny(ctx, tenant, id)
	if err != nil {
		return nil, g, err
	}
	waits := q.Status == KeptQueued || q.Status == KeptRunning
	switch end := rec.deadline(); {
	case r != nil:
		g.status = r.Status
		err = k.end(r)
	case waits, !end.IsZero() && time.Now().After(end):
		err = cl.locate(ctx, k, rec)
	}
	if errors.Is(err, ErrNotKept) {
		return nil, g, nil
	}
	if err != nil || k.Status != q.Status {
		return nil, g, err
	}
	if !q.SmallBody {
		k.Job.Body = nil
	}
	return k, g, nil
}
