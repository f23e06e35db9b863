package embedded

import (
	"log/slog"
	"strings"
	"testing"
)

// A start after a kill is told in one line that is no warning; other warnings stay.
func TestStoreThatWasNotClosed(t *testing.T) {
	var out strings.Builder
	l := &serverLog{log: slog.New(slog.NewTextHandler(&out, nil))}
	for range 3 {
		l.Warnf("Filestore [%s] Stream state outdated, last block has additional entries, will rebuild", "a")
		l.Warnf("Filestore [a] Recovering stream state from index errored: %v", "prior state file")
		l.Warnf("Filestore [a] TTL state is outdated; attempting to recover using linear scan (seq %d to %d)", 1, 2)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "INFO") || !strings.Contains(got, "read again") {
		t.Errorf("%s", got)
	}
	l.Warnf("Filestore [a] Recovering stream state from index errored: %v", "bad checksum")
	if got := out.String(); strings.Count(got, "WARN") != 1 || !strings.Contains(got, "bad checksum") {
		t.Errorf("%s", got)
	}
}
