package jobs

import (
	"errors"
	"io"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// BenchmarkReplay reads a stream of 2,000 events again, stored as 500 messages.
func BenchmarkReplay(b *testing.B) {
	for _, nodes := range []int{1, 3} {
		b.Run(strconv.Itoa(nodes), func(b *testing.B) {
			c := testConn(b, testConfig(natstest.Shared(b, nodes)))
			cl, err := NewClient(b.Context(), c, ClientConfig{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(cl.Close)
			j := keptStreamJob()
			put := func(subject string, data []byte) {
				if _, err := c.js.Publish(b.Context(), subject, data, jetstream.WithRetryAttempts(20)); err != nil {
					b.Fatal(err)
				}
			}
			message, err := encodeJob(nil, "front", j, nil)
			if err != nil {
				b.Fatal(err)
			}
			put(c.n.record(j.Tenant, j.ID), message)
			for i := range uint64(500) {
				m := numbered(1, 4*i+1, 4*i+4)
				put(c.n.replay(j.ID), appendReplay(nil, &m))
			}
			group, name := j.resultName()
			if _, err := c.PutResult(b.Context(), j.Tenant, group, name, &Result{Status: Completed, Attempt: 1, Events: 2000}, 0); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				p, err := cl.Follow(b.Context(), j.Tenant, j.ID, 0)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = p.Next(patience)
				}
				if !errors.Is(err, io.EOF) {
					b.Fatal(err)
				}
				p.Close()
			}
		})
	}
}
