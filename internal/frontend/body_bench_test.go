package frontend

import (
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

// chunks are events that never end.
type chunks struct{ event jobs.Event }

func (c *chunks) Next(time.Duration) (jobs.Event, error) { return c.event, nil }
func (c *chunks) Ready() bool                            { return false }
func (c *chunks) Close()                                 {}

// BenchmarkBody is what a streamed chunk costs between queue and HTTP server. It
// must not allocate.
func BenchmarkBody(b *testing.B) {
	r := start(b, anyone(), nil)
	c := &call{srv: r.Server, cfg: r.cfg.Load(), began: time.Now(), deadline: time.Now().Add(time.Hour)}
	c.stream = &chunks{jobs.Event{Kind: jobs.Chunk, Data: []byte(chunk("word"))}}
	body := &body{call: c}
	var buf [4 << 10]byte
	for b.Loop() {
		if n, err := body.Read(buf[:]); err != nil || n == 0 {
			b.Fatal(n, err)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = body.Read(buf[:]) }); n > 0 {
		b.Errorf("%v allocations for a chunk", n)
	}
}
