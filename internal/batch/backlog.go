package batch

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

const (
	// backlogMost is how many lines' tries are written down: some ten KB.
	backlogMost = 500
	// backlogEvery is how often they are, while they change.
	backlogEvery = 5 * time.Second
)

// backlog is what the next driver must know of requests that failed: nil if none did.
func (v *drive) backlog() *jobs.Backlog {
	if v.throttle.round == 0 && len(v.progress.tries) == 0 {
		return nil
	}
	b := &jobs.Backlog{Round: v.throttle.round, Until: v.throttle.until.UTC(), Tries: map[int]int{}}
	most := slices.SortedFunc(maps.Keys(v.progress.tries), func(i, j int) int {
		return cmp.Or(cmp.Compare(v.progress.tries[j], v.progress.tries[i]), cmp.Compare(i, j))
	})
	for _, i := range most[:min(len(most), backlogMost)] {
		b.Tries[v.plan.number(i)] = v.progress.tries[i]
	}
	return b
}

// writeBacklog writes it down if it has changed.
func (v *drive) writeBacklog(ctx context.Context) error {
	if !v.retried {
		return nil
	}
	v.retried = false
	return v.write(ctx, "backlog", func(b *jobs.StoredBatch) bool {
		b.Backlog = v.backlog()
		return true
	})
}

// leaveBacklog does so when the turn ends early, if it can be done at once.
func (v *drive) leaveBacklog(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := v.writeBacklog(ctx); err != nil {
		v.log.Debug("the next driver knows less of lines that failed", "error", err)
	}
}

// restoreBacklog goes on where the driver before stood: a line that failed is tried
// once, and if it fails again rests longer than before.
func (v *drive) restoreBacklog(now time.Time) {
	b := v.b.Backlog
	if b == nil {
		return
	}
	for number, try := range b.Tries {
		if i, ok := v.plan.find(number); ok && try > 0 {
			v.progress.tries[i] = try
		}
	}
	v.throttle.restore(b.Round, b.Until, now)
}
