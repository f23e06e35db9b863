package service

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// ErrSignal is the cause of a context that a signal ended.
var ErrSignal = errors.New("told to stop")

// exitSecond is the exit code after a second signal: 128 and SIGINT, as shells say it.
const exitSecond = 130

// Signals returns a context that ends at the first SIGINT or SIGTERM. The second
// ends the process at once. stop gives the signals back.
func Signals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		for range 2 {
			select {
			case <-done:
				return
			case <-signals:
				if ctx.Err() != nil {
					os.Exit(exitSecond)
				}
				cancel(ErrSignal)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-finished
		cancel(nil)
	}
}

// hangups returns the channel of SIGHUP, and what gives the signal back.
func hangups() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}
