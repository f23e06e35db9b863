package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestWelcomeShowsDiscoveredModels holds that the first words name what the providers
// list, but not all of a long list, and do not wait for one that says nothing.
func TestWelcomeShowsDiscoveredModels(t *testing.T) {
	for name, c := range map[string]struct {
		models int
		says   string
	}{
		"some": {3, "Models   m0, m1, m2, echo\n"},
		"many": {40, "Models   m0, m1, m10, m11, m12, m13, m14, m15 and 33 more\n"},
		"away": {-1, "Models   openai/…, echo\n"},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.models < 0 {
					select {
					case <-release:
					case <-r.Context().Done():
					}
				}
				var list []string
				for i := range c.models {
					list = append(list, fmt.Sprintf(`{"id":"m%d","object":"model"}`, i))
				}
				fmt.Fprintf(w, `{"object":"list","data":[%s]}`, strings.Join(list, ","))
			}))
			defer server.Close()
			defer close(release)
			p := startUp(t, []string{"OPENAI_API_KEY=x", "OPENAI_BASE_URL=" + server.URL + "/v1"}, "--data-dir", t.TempDir())
			if said := p.stdout.await(t, "Models "); !strings.Contains(said, c.says) {
				t.Errorf("%s, want %q", said, c.says)
			}
			p.stop(t)
		})
	}
}
