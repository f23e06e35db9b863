package main

import (
	"context"
	"io"
)

// interruptible is a reader whose reads end with ctx. A read from a terminal cannot be
// interrupted: its goroutine ends with the process, or with what it reads.
type interruptible struct {
	ctx context.Context
	r   io.Reader
	buf []byte
}

// Read implements io.Reader.
func (i *interruptible) Read(p []byte) (int, error) {
	type got struct {
		n   int
		err error
	}
	if len(i.buf) < len(p) { // the caller's own may be reused after an interruption
		i.buf = make([]byte, len(p))
	}
	done := make(chan got, 1)
	go func() {
		n, err := i.r.Read(i.buf[:len(p)])
		done <- got{n, err}
	}()
	select {
	case g := <-done:
		return copy(p, i.buf[:g.n]), g.err
	case <-i.ctx.Done():
		return 0, context.Cause(i.ctx)
	}
}
