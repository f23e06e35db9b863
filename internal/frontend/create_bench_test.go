package frontend

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
)

// BenchmarkCreate is what a request costs from its first byte to the last of its
// answer, by how its job is kept.
func BenchmarkCreate(b *testing.B) {
	for _, c := range []struct {
		name, body string
		keyed      bool
	}{
		{"plain", plainRequest, false},
		{"stored", with(`"store":true`), false},
		{"keyed", plainRequest, true},
		{"background", with(`"background":true`), false},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := start(b, anyone(), teller)
			var n atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					var header []string
					if c.keyed {
						header = []string{"Idempotency-Key", strconv.FormatInt(n.Add(1), 10)}
					}
					if resp, body := r.post(c.body, header...); resp.StatusCode != http.StatusOK {
						b.Errorf("%d %s", resp.StatusCode, body)
						return
					}
				}
			})
		})
	}
}
