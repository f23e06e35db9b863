package jobs

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// BenchmarkSweep looks after 100,000 jobs that wait, beside as many that have ended:
// to find them all, as a frontend does that takes over, and one step after that.
func BenchmarkSweep(b *testing.B) {
	const count = 100_000
	for _, nodes := range []int{1, 3} {
		b.Run(strconv.Itoa(nodes), func(b *testing.B) {
			c := testConn(b, testConfig(natstest.Shared(b, nodes)))
			cl, err := NewClient(b.Context(), c, ClientConfig{})
			if err != nil {
				b.Fatal(err)
			}
			defer cl.Close()
			for i := range 2 * count {
				if i%1000 == 0 {
					<-c.js.PublishAsyncComplete()
				}
				j := backgroundJob()
				payload, err := encodeJob(nil, "f", j, nil)
				if err == nil {
					_, err = c.js.PublishMsgAsync(labelled(c.n.record(j.Tenant, j.ID), payload, recordLabel(j)), patiently)
				}
				if err == nil && i%2 == 0 {
					_, err = c.js.PublishAsync(c.n.job(j.Class, j.Pool, j.Tenant, j.ID), payload, patiently)
				}
				if err == nil && i%2 == 1 {
					group, name := j.resultName()
					_, err = c.js.PublishAsync(c.n.result(j.Tenant, group, name), []byte("x"), patiently)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			<-c.js.PublishAsyncComplete()
			begin := func() *openJobs {
				o := &openJobs{cl: cl, from: time.Now().Add(-time.Hour), jobs: map[ID]*openJob{}}
				if err := o.follow(b.Context(), func(context.Context) error { return nil }); err != nil || len(o.jobs) != count {
					b.Fatalf("%d jobs, %v", len(o.jobs), err)
				}
				return o
			}
			b.Run("begin", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					begin().close(b.Context())
				}
			})
			b.Run("step", func(b *testing.B) {
				o := begin()
				defer o.close(b.Context())
				for b.Loop() {
					for _, j := range o.queue[:lookMostAtOnce] {
						j.next = time.Time{} // the order stays as it is
					}
					o.look(b.Context())
				}
			})
		})
	}
}
