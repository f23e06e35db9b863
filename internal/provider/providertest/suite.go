// Package providertest is the conformance suite of all adapters: what a fixture of
// a server's answer must become, however the network cuts it, and how an adapter
// behaves when a server is slow, wrong or gone and when the caller leaves.
package providertest

import (
	"testing"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
)

// Suite describes the adapter under test.
type Suite struct {
	// New makes the adapter for the server at baseURL, with an upstream client
	// that the suite owns.
	New func(t testing.TB, baseURL string, client *upstream.Client) provider.Provider
	// Fixtures is the folder of txtar files, such as "testdata".
	Fixtures string
	// Events are a correct streamed answer in the server's dialect, one server-sent
	// event each ("data: …\n\n"): at least one before the first text, two with text
	// "Hello" and " world", then what ends the answer. The suite repeats none.
	Events []string
	// Ping is an event or comment of the server that is no payload.
	Ping string
	// Plain is a correct whole answer; "" if the adapter only ever streams.
	Plain string
	// Refusal is an error body in the server's dialect.
	Refusal func(status int, message string) string
}

// Run tests an adapter.
func Run(t *testing.T, s Suite) {}
