// Package providertest is the conformance suite of all adapters: what a fixture of
// a server's answer must become, however the network cuts it, and how an adapter
// behaves when a server is slow, wrong or gone and when the caller leaves.
//
// An adapter's test calls [Run] with its [Suite], and goleak in TestMain: a call that
// ended has left nothing behind. The format of fixtures is that of [Fixture].
package providertest

import (
	"testing"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
)

// Key is what New should configure as the server's key: the suite checks that it
// turns up nowhere.
const Key = "sk-upstream-0123456789abcdef"

// Suite describes the adapter under test.
type Suite struct {
	// New makes the adapter for the server at baseURL, calling through client, which
	// the suite owns. options are those of a fixture; nil otherwise.
	New func(t testing.TB, baseURL string, client *upstream.Client, options map[string]string) provider.Provider

	Fixtures string // folder of txtar files, such as "testdata"; "": none
	Update   bool   // rewrite what the fixtures expect, from a flag of the adapter's test

	// A correct streamed answer in the server's dialect, as whole server-sent events
	// ("data: …\n\n"): what comes before the first text, a piece of text, and what
	// ends the answer, its finish reason included.
	Begin string
	Text  func(text string) string
	End   string
	Ping  string // an event or comment that is no part of an answer

	// Refusal is the body of an error in the server's dialect.
	Refusal func(status int, message string) string
}

// Run tests an adapter.
func Run(t *testing.T, s Suite) {
	if s.Fixtures != "" {
		t.Run("fixtures", s.fixtures)
	}
	t.Run("failures", s.failures)
	t.Run("flush", s.flush)
	t.Run("cancel", s.cancel)
	t.Run("limits", s.limits)
	t.Run("network", s.network)
}
