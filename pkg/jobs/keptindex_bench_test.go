package jobs

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// BenchmarkListFew lists the three of 50,000 kept jobs that a filter selects: by a
// frontend that lists for the first time, by one that did before, and twenty at once.
func BenchmarkListFew(b *testing.B) {
	const count = 50_000
	for _, nodes := range []int{1, 3} {
		b.Run(strconv.Itoa(nodes), func(b *testing.B) {
			c := testConn(b, testConfig(natstest.Shared(b, nodes)))
			body := make([]byte, 2000)
			now := time.Now()
			for i := range count {
				j := recordedJob(0)
				j.ID, j.Body = idAt(now.Add(-time.Duration(i)*5*time.Second)), body // of three days
				status := Completed
				if i%(count/3) == count/6 {
					j.Model, j.Keep.Metadata, status = "rare", map[string]string{"rare": "yes"}, Errored
				}
				payload, err := encodeJob(nil, "f", j, nil)
				if err != nil {
					b.Fatal(err)
				}
				data, err := encodeResult(nil, &Result{Status: status, Ended: now, Body: body}, nil)
				if err != nil {
					b.Fatal(err)
				}
				group, name := j.resultName()
				_, err = c.js.PublishMsgAsync(labelled(c.n.record(j.Tenant, j.ID), payload, recordLabel(j)), patiently)
				if err == nil {
					_, err = c.js.PublishMsgAsync(labelled(c.n.result(j.Tenant, group, name), data, resultLabel(status)), patiently)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			<-c.js.PublishAsyncComplete()
			list := func(cl *Client, q KeptQuery) error {
				items, more, err := cl.ListKept(b.Context(), "acme", q)
				if err == nil && (len(items) != 3 || more) {
					err = fmt.Errorf("%d listed, %t", len(items), more)
				}
				return err
			}
			client := func() *Client {
				cl, err := NewClient(b.Context(), c, ClientConfig{})
				if err != nil {
					b.Fatal(err)
				}
				return cl
			}
			for name, q := range map[string]KeptQuery{
				"model":    {Model: "rare", Status: KeptFailed},
				"metadata": {Metadata: map[string]string{"rare": "yes"}, Status: KeptFailed},
				"status":   {Status: KeptFailed, Descending: true},
			} {
				b.Run(name+"/first", func(b *testing.B) {
					for b.Loop() {
						cl := client()
						if err := list(cl, q); err != nil {
							b.Fatal(err)
						}
						cl.Close()
					}
				})
				cl := client()
				b.Run(name+"/again", func(b *testing.B) {
					for b.Loop() {
						if err := list(cl, q); err != nil {
							b.Fatal(err)
						}
					}
				})
				b.Run(name+"/twenty", func(b *testing.B) {
					for b.Loop() {
						var group errgroup.Group
						for range 20 {
							group.Go(func() error { return list(cl, q) })
						}
						if err := group.Wait(); err != nil {
							b.Fatal(err)
						}
					}
				})
				cl.Close()
			}
		})
	}
}
