package jobs

import (
	"container/heap"
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

const (
	// openMost bounds the jobs that are known to be open; the rest waits its turn.
	openMost = 500_000
	// lookMostAtOnce bounds the jobs that one step looks for, lookTogether those that
	// are looked for at the same moment.
	lookMostAtOnce = 256
	lookTogether   = 8
	// A job is looked for after firstOpenLook, then after twice as long each time up to
	// lastOpenLook, or longer, so that all together are lookRate a second.
	firstOpenLook = beingSubmitted + time.Second
	lastOpenLook  = 5 * time.Minute
	lookRate      = 100
)

// openJob is a kept job that has no result, as far as is known.
type openJob struct {
	id       ID
	tenant   string
	next     time.Time // to look at it
	deadline time.Time // zero: none, or not known
	wait     time.Duration
	class    Class
	pool     string // "" until its record was read
	place    int    // in the heap; -1: not there
}

// openJobs are the kept jobs that have not ended, by the heads of their records and
// results. They belong to one goroutine.
type openJobs struct {
	cl      *Client
	from    time.Time // older ones have ended
	records *heads
	results *heads
	last    time.Time // of the last record that was read
	ended   time.Time // of the last result

	jobs  map[ID]*openJob
	queue openHeap
	names map[string]string // tenants and pools, once each
	// early and earlier have results that were read before their records: those of this
	// step and of the one before.
	early, earlier map[ID]struct{}
}

func (o *openJobs) close(ctx context.Context) {
	for _, h := range []*heads{o.records, o.results} {
		if h != nil {
			h.close(ctx)
		}
	}
	o.records, o.results = nil, nil
}

// follow reads what came. It reads of records and results what was stored at the same
// time, so that only jobs that have not ended stay in memory. renew is called between
// its steps.
func (o *openJobs) follow(ctx context.Context, renew func(context.Context) error) (err error) {
	defer func() {
		if err != nil { // the consumers may be gone: once more from the beginning
			o.close(ctx)
			o.jobs, o.queue, o.last, o.ended = map[ID]*openJob{}, nil, time.Time{}, time.Time{}
		}
	}()
	c := o.cl.conn
	if o.early == nil {
		o.early = map[ID]struct{}{}
	}
	if o.records == nil {
		if o.records, err = c.openHeads(ctx, c.n.keptStream(), nil, 0, o.from); err != nil {
			return err
		}
	}
	if o.results == nil {
		if o.results, err = c.openHeads(ctx, c.n.resultsStream(), nil, 0, o.from); err != nil {
			return err
		}
	}
	for {
		if len(o.jobs) < openMost {
			if _, err = o.records.next(ctx, 0, o.begun); err != nil {
				return err
			}
		}
		for again := true; again; again = o.results.pending > 0 && (o.records.pending == 0 || o.ended.Before(o.last)) {
			if _, err := o.results.next(ctx, 0, o.over); err != nil {
				return err
			}
		}
		if o.records.pending == 0 || len(o.jobs) >= openMost {
			o.early, o.earlier = map[ID]struct{}{}, o.early
			return nil
		}
		if err := renew(ctx); err != nil {
			return err
		}
	}
}

// begun notes a record.
func (o *openJobs) begun(h head) {
	o.last = h.time
	id, ok := idOfRecord(h.subject)
	t := strings.Split(h.subject, ".")
	if !ok || len(t) < 5 || o.jobs[id] != nil || t[len(t)-1] != "record" && t[len(t)-1] != "hidden" {
		return
	}
	_, now := o.early[id]
	if _, before := o.earlier[id]; now || before {
		delete(o.early, id)
		delete(o.earlier, id)
		return
	}
	j := &openJob{id: id, tenant: o.name(t[len(t)-4]), next: h.time.Add(firstOpenLook), wait: firstOpenLook}
	o.jobs[id] = j
	heap.Push(&o.queue, j)
}

// over notes a result, be it of a batch's line.
func (o *openJobs) over(h head) {
	o.ended = h.time
	if id, err := ParseID(h.subject[strings.LastIndexByte(h.subject, '.')+1:]); err == nil {
		if o.jobs[id] == nil {
			o.early[id] = struct{}{}
			return
		}
		o.forget(id)
	}
}

func (o *openJobs) forget(id ID) {
	j := o.jobs[id]
	if j == nil {
		return
	}
	delete(o.jobs, id)
	if j.place >= 0 {
		heap.Remove(&o.queue, j.place)
	}
}

// name returns one copy of a name that many jobs have.
func (o *openJobs) name(s string) string {
	if have, ok := o.names[s]; ok {
		return have
	}
	if o.names == nil || len(o.names) > 10_000 {
		o.names = map[string]string{}
	}
	s = strings.Clone(s)
	o.names[s] = s
	return s
}

// look looks at the jobs whose time it is, at most lookMostAtOnce.
func (o *openJobs) look(ctx context.Context) {
	var due []*openJob
	now := time.Now()
	for len(o.queue) > 0 && len(due) < lookMostAtOnce && !o.queue[0].next.After(now) {
		due = append(due, heap.Pop(&o.queue).(*openJob))
	}
	over := make([]bool, len(due))
	room := make(chan struct{}, lookTogether)
	var wg sync.WaitGroup
	for i, j := range due {
		room <- struct{}{}
		wg.Go(func() {
			over[i] = o.cl.lookAt(ctx, j)
			<-room
		})
	}
	wg.Wait()
	longest := max(lastOpenLook, time.Duration(len(o.jobs)/lookRate)*time.Second)
	for i, j := range due {
		if over[i] {
			delete(o.jobs, j.id)
			continue
		}
		j.pool = o.name(j.pool)
		j.later(time.Now(), longest)
		heap.Push(&o.queue, j)
	}
}

// later says when to look again: in time for the deadline.
func (j *openJob) later(now time.Time, longest time.Duration) {
	j.wait = min(2*j.wait, longest)
	j.next = now.Add(j.wait)
	if end := j.deadline.Add(overdue); !j.deadline.IsZero() && end.Before(j.next) {
		j.next = now.Add(max(end.Sub(now), sweepEvery))
		if end.Before(now) { // its worker has the time that it takes to find out that he is gone
			j.next = now.Add(min(j.wait, firstOpenLook))
		}
	}
}

// lookAt looks at one job, does what is due, and reports whether it has ended or was
// taken back.
func (cl *Client) lookAt(ctx context.Context, j *openJob) (over bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	over, err := cl.attend(ctx, j)
	if err != nil && ctx.Err() == nil {
		cl.log.Warn("kept job not looked for", "job_id", j.id.String(), "error", err)
	}
	return over
}

func (cl *Client) attend(ctx context.Context, j *openJob) (over bool, err error) {
	c := cl.conn
	if j.pool == "" {
		rec, err := c.readRecord(ctx, j.tenant, j.id)
		if errors.Is(err, ErrNotKept) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		j.pool, j.class, j.deadline = rec.job.Pool, rec.job.Class, rec.deadline()
	}
	if j.deadline.IsZero() || time.Now().Before(j.deadline.Add(overdue)) {
		_, err := c.anyGet(ctx, c.n.jobsStream(j.class), c.n.job(j.class, j.pool, j.tenant, j.id))
		if !errors.Is(err, errNotStored) {
			return false, err
		}
	}
	k, err := cl.kept(ctx, j.tenant, j.id, KeptOptions{Hidden: true}) // ends it, or queues it again
	if errors.Is(err, ErrNotKept) {
		return true, nil
	}
	return err == nil && k.Result != nil, err
}

// openHeap orders jobs by when they are looked at.
type openHeap []*openJob //nolint:recvcheck // Push and Pop change the length, the others do not

func (h openHeap) Len() int           { return len(h) }
func (h openHeap) Less(a, b int) bool { return h[a].next.Before(h[b].next) }
func (h openHeap) Swap(a, b int) {
	h[a], h[b] = h[b], h[a]
	h[a].place, h[b].place = a, b
}

// Push implements heap.Interface.
func (h *openHeap) Push(x any) {
	j := x.(*openJob)
	j.place = len(*h)
	*h = append(*h, j)
}

// Pop implements heap.Interface.
func (h *openHeap) Pop() any {
	last := len(*h) - 1
	j := (*h)[last]
	(*h)[last], j.place = nil, -1
	*h = (*h)[:last]
	return j
}
