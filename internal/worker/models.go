package worker

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/osiris/osiris/internal/provider"
)

const (
	longestName = 256   // of a model, in bytes, as the configuration has it
	mostListed  = 5_000 // models of one provider: the catalogue is one message
)

// usable returns the models of a provider's list that can be served under their
// names, and how many were left out. Names go into logs, terminals, metrics and the
// catalogue of every frontend, so what a server made up is checked as what an
// operator wrote.
func usable(models []provider.Model) (good []provider.Model, dropped int) {
	for _, m := range models {
		if !isName(m.ID) || len(good) == mostListed {
			dropped++
			continue
		}
		if !isName(m.OwnedBy) {
			m.OwnedBy = ""
		}
		good = append(good, m)
	}
	return good, dropped
}

// isName allows spaces inside, which files served as models have.
func isName(s string) bool {
	return s != "" && len(s) <= longestName && utf8.ValidString(s) && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, unicode.IsControl)
}

// Models returns the names that clients may use, configured ones first. While a
// provider never said what it serves it blocks until ctx ends; what is missing then is
// there as its prefix and an ellipsis.
func (w *Worker) Models(ctx context.Context) []string {
	s := w.serving.current.Load()
	for s.unanswered && ctx.Err() == nil {
		select {
		case <-s.replaced:
		case <-ctx.Done():
		}
		s = w.serving.current.Load()
	}
	return s.names(w.discovery.silent())
}

// names lists configured models, found ones, what silent providers may have, and
// those that are not announced.
func (c *catalogue) names(silent []string) []string {
	var configured, found, hidden []string
	for _, m := range c.listed {
		switch {
		case m.Hidden:
			hidden = append(hidden, m.ID)
		case c.entries[m.ID].configured:
			configured = append(configured, m.ID)
		default:
			found = append(found, m.ID)
		}
	}
	for _, p := range silent {
		found = append(found, p+"…")
	}
	return append(append(configured, found...), hidden...)
}
