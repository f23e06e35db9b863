package jobs

import (
	"context"
	"sync"
	"time"
)

const (
	// listsOfTenant and listsMost bound the lists that are answered at a time.
	listsOfTenant = 4
	listsMost     = 16
)

// keptLists are the lists of kept jobs that a client answers, and its indexes. The
// zero value is usable.
type keptLists struct {
	once sync.Once
	room chan struct{} // one place for each list that is answered

	mu      sync.Mutex
	indexes map[string]*keptIndex // by tenant
}

// enter waits until a list of the tenant may begin, and returns the tenant's index.
// leave ends the list.
func (l *keptLists) enter(ctx context.Context, tenant string) (x *keptIndex, leave func(), err error) {
	l.once.Do(func() {
		l.room, l.indexes = make(chan struct{}, listsMost), map[string]*keptIndex{}
	})
	x = l.index(tenant, time.Now())
	for _, room := range []chan struct{}{x.room, l.room} { // first its own: a tenant who waits takes no other's place
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			if room == l.room {
				<-x.room
			}
			return nil, nil, context.Cause(ctx)
		}
	}
	return x, func() {
		<-l.room
		<-x.room
	}, nil
}

// index returns the index of a tenant, and drops those that nobody used for long.
func (l *keptLists) index(tenant string, now time.Time) *keptIndex {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, x := range l.indexes {
		if now.Sub(x.used) > indexIdle && len(x.room) == 0 {
			delete(l.indexes, name)
		}
	}
	x := l.indexes[tenant]
	if x == nil {
		x = &keptIndex{tenant: tenant, turn: make(chan struct{}, 1), room: make(chan struct{}, listsOfTenant)}
		l.indexes[tenant] = x
	}
	x.used = now
	return x
}

// grown notes how many jobs an index has; of all that are too many, those that were
// not used for the longest go, except it.
func (l *keptLists) grown(x *keptIndex, size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.size = size
	for {
		total := 0
		var oldest *keptIndex
		for _, other := range l.indexes {
			total += other.size
			if other != x && other.size > 0 && (oldest == nil || other.used.Before(oldest.used)) {
				oldest = other
			}
		}
		if total <= indexMost || oldest == nil {
			return
		}
		delete(l.indexes, oldest.tenant) // whoever uses it just now has it to the end
	}
}

// listIndexed lists the jobs that the index does not rule out.
func (cl *Client) listIndexed(ctx context.Context, x *keptIndex, q KeptQuery) (items []*Kept, more bool, err error) {
	if err := cl.freshen(ctx, x); err != nil {
		return nil, false, err
	}
	begun, err := cl.begun(ctx, x, &q)
	if err != nil {
		return nil, false, err
	}
	page := &keptPage{q: q}
	for after := q.After; ; {
		n := page.missing()
		if err := x.lock(ctx); err != nil {
			return nil, false, err
		}
		list := x.after(&q, begun, after, n)
		x.unlock()
		seen := make([]glimpse, len(list))
		read, err := cl.readListed(ctx, len(list), func(ctx context.Context, i int) (k *Kept, err error) {
			k, seen[i], err = cl.readSelected(ctx, x.tenant, q, list[i].id)
			return k, err
		})
		if err != nil {
			return nil, false, err
		}
		if err := x.learn(ctx, list, seen); err != nil {
			return nil, false, err
		}
		switch {
		case page.add(read):
			return page.items, true, nil
		case len(list) < n:
			return page.items, false, nil
		}
		after = list[n-1].id
	}
}

// freshen brings the index up to date, unless somebody else began to after this call.
func (cl *Client) freshen(ctx context.Context, x *keptIndex) error {
	asked := time.Now()
	if err := x.lock(ctx); err != nil {
		return err
	}
	defer x.unlock()
	if x.began.After(asked) {
		return nil
	}
	began := time.Now()
	if err := cl.conn.refresh(ctx, x); err != nil {
		return err
	}
	x.began = began
	cl.lists.grown(x, len(x.entries))
	return nil
}

func (x *keptIndex) lock(ctx context.Context) error {
	select {
	case x.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (x *keptIndex) unlock() { <-x.turn }

// learn notes what reading jobs showed that the index did not know.
func (x *keptIndex) learn(ctx context.Context, list []keptEntry, seen []glimpse) error {
	if err := x.lock(ctx); err != nil {
		return err
	}
	defer x.unlock()
	for i, g := range seen {
		at, ok := x.find(list[i].id)
		if !ok {
			continue
		}
		e := &x.entries[at]
		if e.record != list[i].record || e.metadata != list[i].metadata {
			continue // it changed meanwhile
		}
		switch {
		case g.gone:
			e.status = Deleted
			continue
		case e.status == 0:
			e.status = g.status
		}
		if g.whole && !e.known {
			e.known, e.model, e.pairs = true, modelHash(g.model), nil
			for name, value := range g.metadata {
				e.pairs = append(e.pairs, pairHash(name, value))
			}
		}
	}
	return nil
}
