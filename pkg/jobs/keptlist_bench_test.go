package jobs

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// BenchmarkListSparse finds the jobs of a tenant that has ten in 30 days, beside
// another that has 20,000: in one go, and by the hours.
func BenchmarkListSparse(b *testing.B) {
	for _, nodes := range []int{1, 3} {
		b.Run(strconv.Itoa(nodes), func(b *testing.B) {
			c := testConn(b, testConfig(natstest.Shared(b, nodes)))
			now := time.Now()
			put := func(tenant string, id ID) {
				if _, err := c.js.PublishAsync(c.n.record(tenant, id), []byte("x"), patiently); err != nil {
					b.Fatal(err)
				}
			}
			for i := range 20_000 {
				put("busy", idAt(now.Add(-time.Duration(i)*2*time.Minute)))
			}
			for i := range 10 {
				put("sparse", idAt(now.Add(-time.Duration(i)*70*time.Hour)))
			}
			<-c.js.PublishAsyncComplete()
			all := hoursBetween(now.Add(-31*24*time.Hour), now, true)
			for _, byHours := range []bool{false, true} {
				b.Run(fmt.Sprintf("hours=%t", byHours), func(b *testing.B) {
					for b.Loop() {
						hours, err := c.keptHours(b.Context(), "sparse", KeptQuery{})
						if byHours {
							hours = all
						}
						found, err2 := c.keptIn(b.Context(), "sparse", hours)
						n := 0
						for _, ids := range found {
							n += len(ids)
						}
						if n != 10 || err != nil || err2 != nil {
							b.Fatalf("%d found, %v, %v", n, err, err2)
						}
					}
				})
			}
		})
	}
}
