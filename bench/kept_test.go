package bench

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkKept asks for whole answers, plain ones and stored ones by turns. The metric
// x-plain is how much more CPU a stored one costs, everything included: client, model
// server, queue.
func BenchmarkKept(b *testing.B) {
	model := httptest.NewServer(http.HandlerFunc(answer))
	b.Cleanup(model.Close)
	base := osiris(b, model.URL)
	text := `"messages":[{"role":"user","content":"` + strings.Repeat("word ", 50) + `"}]}`
	var plain float64
	b.Run("plain", func(b *testing.B) { plain = load(b, base, 32, `{"model":"m",`+text) })
	b.Run("kept", func(b *testing.B) {
		kept := load(b, base, 32, `{"model":"m","store":true,`+text)
		if plain > 0 {
			b.ReportMetric(kept/plain, "x-plain")
		}
	})
}
