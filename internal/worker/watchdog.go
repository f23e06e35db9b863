package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// stuckAfter is how long an attempt may go on after its context ended before
// somebody is told.
const stuckAfter = 5 * time.Second

// watch reports once on log if the caller does not call the returned function
// within stuckAfter of the end of ctx. It costs no goroutine while ctx lasts.
func watch(ctx context.Context, log func() *slog.Logger) (done func()) {
	var (
		mu       sync.Mutex // guards the two below
		timer    *time.Timer
		finished bool
	)
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if !finished {
			timer = time.AfterFunc(stuckAfter, func() {
				log().Error("attempt does not stop although it was told to", "cause", context.Cause(ctx), "after", stuckAfter)
			})
		}
	})
	return func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		finished = true
		if timer != nil {
			timer.Stop()
		}
	}
}
