package batch

import (
	"slices"
	"sync"
	"time"
)

// turnMost is how long a batch keeps its place while another tenant waits that has
// one less: moving a batch costs half a second at most, the time to read its input.
const turnMost = 30 * time.Second

// givesWithin is how long a batch is waited for that is to give its place up. One that
// writes its files or waits for the lines of a cancelled batch takes longer.
const givesWithin = 2 * time.Second

// places decides which batches are driven here, so that no tenant's batches hold back
// another's. A free place goes to the tenant that has the fewest, and there to the
// oldest batch. While a tenant that waits has two places less than another, the
// other's youngest batch gives its place up at once; with one less they take turns.
// It does no I/O; time is the caller's.
type places struct {
	most int
	now  func() time.Time

	mu    sync.Mutex
	seats []*seat              // guarded by mu
	last  map[string]time.Time // by tenant: when it was last given a place; guarded by mu
}

// seat is one batch that has a place, or waits for one.
//
// Invariant: begin is closed while it has a place; its channels change under places.mu.
type seat struct {
	tenant string
	since  time.Time     // the batch was created
	began  time.Time     // it was given its place; zero: it waits
	begin  chan struct{} // closed when it has a place
	yield  chan struct{} // closed when it is to give its place up
	giving time.Time     // yield was closed; zero: it is open

	move chan time.Duration // it is to be handed to other drivers, after that time
}

func newPlaces(most int) *places {
	return &places{most: most, now: time.Now, last: map[string]time.Time{}}
}

// enter adds a batch, which waits until its begin is closed.
func (p *places) enter(tenant string, since time.Time) *seat {
	s := &seat{tenant: tenant, since: since, begin: make(chan struct{}), yield: make(chan struct{}), move: make(chan time.Duration, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seats = append(p.seats, s)
	p.deal()
	return s
}

// leave takes a batch out.
func (p *places) leave(s *seat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seats = slices.DeleteFunc(p.seats, func(other *seat) bool { return other == s })
	if !slices.ContainsFunc(p.seats, func(other *seat) bool { return other.tenant == s.tenant }) {
		delete(p.last, s.tenant)
	}
	p.deal()
}

// rest has a batch that gave its place up wait for another.
func (p *places) rest(s *seat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.began, s.giving = time.Time{}, time.Time{}
	s.begin, s.yield = make(chan struct{}), make(chan struct{})
	p.deal()
}

// look deals places again, as time has passed.
func (p *places) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deal()
}

// count returns how many batches have a place and how many wait.
func (p *places) count() (driven, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.seats {
		if s.began.IsZero() {
			waiting++
		} else {
			driven++
		}
	}
	return driven, waiting
}

// signals returns the channels that tell a batch of its turn and of its end.
func (p *places) signals(s *seat) (begin, yield <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.begin, s.yield
}

// first returns the batch that gets the next place, nil if none waits.
func (p *places) first() *seat {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next(p.shares())
}

// excess returns the youngest waiting batch of the tenant that has most of them wait.
func (p *places) excess() (most *seat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := map[string]int{}
	for _, s := range p.seats {
		if s.began.IsZero() {
			waiting[s.tenant]++
		}
	}
	for _, s := range p.seats {
		if !s.began.IsZero() {
			continue
		}
		if most != nil {
			more := waiting[s.tenant] - waiting[most.tenant]
			if more < 0 || more == 0 && s.since.Before(most.since) {
				continue
			}
		}
		most = s
	}
	return most
}

// deal gives free places away, and has one be given up for who has more right to it.
// The caller holds mu, here and below.
func (p *places) deal() {
	shares, taken, giving := p.shares(), 0, false
	for _, s := range p.seats {
		giving = giving || p.now().Sub(s.giving) < givesWithin
		if !s.began.IsZero() {
			taken++
		}
	}
	s := p.next(shares)
	for ; s != nil && taken < p.most; s = p.next(shares) {
		s.began = p.now()
		p.last[s.tenant] = s.began
		shares[s.tenant]++
		taken++
		close(s.begin)
	}
	if s == nil || giving { // one after the other: each changes the shares
		return
	}
	if victim := p.victim(s.tenant, shares); victim != nil {
		victim.giving = p.now()
		close(victim.yield)
	}
}

// shares counts the places of each tenant.
func (p *places) shares() map[string]int {
	shares := map[string]int{}
	for _, s := range p.seats {
		if !s.began.IsZero() && s.giving.IsZero() {
			shares[s.tenant]++
		}
	}
	return shares
}

// next returns the batch that has most right to a place of those that wait.
func (p *places) next(shares map[string]int) (best *seat) {
	for _, s := range p.seats {
		if s.began.IsZero() && (best == nil || p.before(s, best, shares)) {
			best = s
		}
	}
	return best
}

// before reports whether a has more right to a place than b.
func (p *places) before(a, b *seat, shares map[string]int) bool {
	switch {
	case a.tenant == b.tenant:
		return a.since.Before(b.since)
	case shares[a.tenant] != shares[b.tenant]:
		return shares[a.tenant] < shares[b.tenant]
	case !p.last[a.tenant].Equal(p.last[b.tenant]):
		return p.last[a.tenant].Before(p.last[b.tenant])
	}
	return a.since.Before(b.since)
}

// victim returns the batch that is to make room for one of a tenant, nil if none is.
func (p *places) victim(tenant string, shares map[string]int) (victim *seat) {
	more := 1
	for _, n := range shares {
		more = max(more, n-shares[tenant])
	}
	now := p.now()
	for _, s := range p.seats {
		switch {
		case s.began.IsZero(), !s.giving.IsZero(), s.tenant == tenant, shares[s.tenant]-shares[tenant] != more:
		case more > 1: // the youngest batch
			if victim == nil || s.since.After(victim.since) {
				victim = s
			}
		case now.Sub(s.began) >= turnMost: // the one that had its turn for longest
			if victim == nil || s.began.Before(victim.began) {
				victim = s
			}
		}
	}
	return victim
}
