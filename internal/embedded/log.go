package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// serverLog hands the server's lines to slog. What it notices is for debugging:
// whoever runs osiris up did not start a NATS server.
type serverLog struct {
	log *slog.Logger

	mu        sync.Mutex
	last      error // of Fatalf
	recovered bool  // it was told that the store is read again
}

func (l *serverLog) write(level slog.Level, format string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "nats server", "line", fmt.Sprintf(format, args...))
	}
}

// Noticef implements server.Logger.
func (l *serverLog) Noticef(format string, args ...any) { l.write(slog.LevelDebug, format, args) }

// Warnf implements server.Logger. What a store says that was not closed, as after a
// kill, is said once: it is read again, and nothing in it is lost.
func (l *serverLog) Warnf(format string, args ...any) {
	if !recovers(fmt.Sprintf(format, args...)) {
		l.write(slog.LevelWarn, format, args)
		return
	}
	l.write(slog.LevelDebug, format, args)
	l.mu.Lock()
	first := !l.recovered
	l.recovered = true
	l.mu.Unlock()
	if first {
		l.log.Info("the store was not closed: it is read again")
	}
}

// recovers reports whether a line speaks of an index that is behind its data.
func recovers(line string) bool {
	for _, part := range []string{
		"Stream state outdated, ", "Recovering stream state from index errored: prior state file",
		" state is outdated; attempting to recover using linear scan",
	} {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

// Errorf implements server.Logger.
func (l *serverLog) Errorf(format string, args ...any) { l.write(slog.LevelError, format, args) }

// Debugf implements server.Logger.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef implements server.Logger.
func (l *serverLog) Tracef(string, ...any) {}

// Fatalf implements server.Logger. It does not end the process.
func (l *serverLog) Fatalf(format string, args ...any) {
	l.mu.Lock()
	l.last = fmt.Errorf(format, args...)
	l.mu.Unlock()
	l.write(slog.LevelError, format, args)
}

// fatal is the last thing the server could not go on after, or nil.
func (l *serverLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}
