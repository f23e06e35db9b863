package frontend

import (
	"net"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

// chunks are events that never end.
type chunks struct{ event jobs.Event }

func (c *chunks) Next(time.Duration) (jobs.Event, error) { return c.event, nil }
func (c *chunks) Ready() bool                            { return false }
func (c *chunks) Close()                                 {}
func (c *chunks) Stored() bool                           { return true }

// nowhere is a socket that takes everything.
type nowhere struct{ net.Conn }

func (nowhere) Write(p []byte) (int, error)      { return len(p), nil }
func (nowhere) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkBody is what a streamed chunk costs between queue and socket. It must
// not allocate.
func BenchmarkBody(b *testing.B) {
	r := start(b, anyone(), nil)
	c := &call{conn: &conn{Conn: nowhere{}, set: r.conns}, srv: r.Server, cfg: r.cfg.Load(), began: time.Now(), deadline: time.Now().Add(time.Hour)}
	c.stream = &chunks{jobs.Event{Kind: jobs.Chunk, Data: []byte(chunk("word"))}}
	body := &body{call: c, headed: true}
	forward := func() {
		if err := body.await(); err != nil {
			b.Fatal(err)
		}
		if n, err := body.send(nil); err != nil || n == 0 {
			b.Fatal(n, err)
		}
	}
	for b.Loop() {
		forward()
	}
	if n := testing.AllocsPerRun(100, forward); n > 0 {
		b.Errorf("%v allocations for a chunk", n)
	}
}
