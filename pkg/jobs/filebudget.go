package jobs

import (
	"context"
	"sync"
)

const (
	// partsStored and partsLoaded bound the parts that are on their way to the broker and
	// from it, of all files together. Each is several times in memory: here, on the
	// connection, and in the broker, which may be in this process. One file alone uses
	// four and three.
	partsStored = 16
	partsLoaded = 16
	// partsAhead bounds the parts that are here before a reader wants them, of all
	// readers together.
	partsAhead = 32
)

// fileBudget is what writers and readers of files share, so that the memory they
// take grows by little more than a part for each, however many they are.
type fileBudget struct {
	stored, loaded, ahead chan struct{} // a token for each part
	buffers               sync.Pool     // of *[]byte: parts that are stored
	reclaim               reclaimer
}

func newFileBudget() *fileBudget {
	return &fileBudget{
		stored: make(chan struct{}, partsStored),
		loaded: make(chan struct{}, partsLoaded),
		ahead:  make(chan struct{}, partsAhead),
	}
}

// enter takes a token, which <-tokens gives back, unless ctx ends before.
func enter(ctx context.Context, tokens chan struct{}) error {
	select {
	case tokens <- struct{}{}:
		return nil
	default:
	}
	select {
	case tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryAhead takes a token for a part that is fetched ahead, if there is one.
func (b *fileBudget) tryAhead() bool {
	select {
	case b.ahead <- struct{}{}:
		return true
	default:
		return false
	}
}

// buffer returns an empty buffer for a part.
func (b *fileBudget) buffer(size int) []byte {
	if p, ok := b.buffers.Get().(*[]byte); ok && cap(*p) >= size {
		return (*p)[:0]
	}
	return make([]byte, 0, size)
}

func (b *fileBudget) putBack(buf []byte) { b.buffers.Put(&buf) }
