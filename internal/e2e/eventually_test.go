package e2e

import (
	"context"
	"testing"
	"time"
)

// soon is how fast what a client that left has begun must be over.
const soon = 2 * time.Second

// patience bounds what has no time of its own. It is long for slow machines only.
const patience = 60 * time.Second

// eventually asks until it gets no error, and fails with the last one after limit.
func eventually(t *testing.T, limit time.Duration, what string, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	late := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-late:
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		case <-tick.C:
		}
	}
}

// within fails unless done is closed in time.
func within(t *testing.T, limit time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s: not within %v", what, limit)
	}
}
