package worker

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/osiris/osiris/pkg/jobs"
)

// publish tells the frontends what the worker serves whenever that changes, until
// ctx ends.
//
// As long as a provider has not said what it serves, nothing is taken out of the
// pool's list: a worker that restarts, or starts while a provider is away, must not
// make the frontends refuse models that the pool serves.
func (w *Worker) publish(ctx context.Context) {
	var told *jobs.PoolModels
	var before []jobs.Model // what the frontends know of
	if w.serving.current.Load().unanswered {
		before = w.inherited(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.serving.dirty:
		}
		s := w.serving.current.Load()
		now := s.published()
		if s.unanswered {
			now.Models = union(now.Models, before)
			now.Partial = true
		}
		if told != nil && reflect.DeepEqual(*told, now) {
			continue
		}
		if err := w.conn.PublishModels(ctx, now); err != nil {
			if ctx.Err() == nil { // else it would have tried on: the list itself is at fault
				w.log.Error("model list not published", "error", err)
			}
			continue
		}
		w.log.Info("model list published", "models", len(now.Models), "complete", !s.unanswered)
		told, before = &now, now.Models
	}
}

// inherited is what the workers of the pool served before this one came.
func (w *Worker) inherited(ctx context.Context) []jobs.Model {
	cat, err := w.conn.WatchCatalogue(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.log.Warn("former model list not read", "error", err)
		}
		return nil
	}
	defer cat.Close()
	pool := w.serving.current.Load().pool
	var models []jobs.Model
	for _, m := range cat.Models() {
		if p, ok := cat.Pool(m.ID); ok && p == pool {
			models = append(models, m)
		}
	}
	return models
}

// union adds to models, which are in the order of their ids, those of more that
// are not among them.
func union(models, more []jobs.Model) []jobs.Model {
	byID := func(a, b jobs.Model) int { return strings.Compare(a.ID, b.ID) }
	all := slices.Clone(models)
	for _, m := range more {
		if _, ok := slices.BinarySearchFunc(models, m, byID); !ok {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, byID)
	return all
}
