package frontend

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

// recite says as many chunks as the request's id asks for.
func recite(_ context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
	n, err := strconv.Atoi(a.Job().RequestID)
	if err != nil {
		return jobs.Outcome{}, err
	}
	event := []byte(chunk(" word"))
	for range n {
		if err := a.Chunk(event); err != nil {
			return jobs.Outcome{}, err
		}
	}
	return jobs.Outcome{}, a.Chunk([]byte(finish))
}

// submit puts a job into the queue past HTTP.
func (r *rig) submit(chunks int) *call {
	r.t.Helper()
	cfg := r.cfg.Load()
	now := time.Now()
	c := &call{srv: r.Server, cfg: cfg, id: jobs.NewID(), began: now, deadline: now.Add(time.Minute), conn: &conn{Conn: &net.TCPConn{}, set: r.conns}}
	stream, err := r.client.Submit(r.t.Context(), &jobs.Job{
		ID: c.id, Tenant: anonymous, Model: "echo", Pool: "default", Stream: true, Timeout: time.Minute,
		RequestID: strconv.Itoa(chunks), Body: []byte(streamRequest),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	c.watch(stream)
	return c
}

// Forwarding allocates nothing per chunk: events are copied from the queue's
// buffer into the server's. The count is of the whole process, so the least of
// several runs is taken.
func TestForwardingAllocates(t *testing.T) {
	const chunks = 500 // fit into the window of a reader that has not begun
	said := make(chan struct{}, 2)
	r := start(t, anyone(), func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		defer func() { said <- struct{}{} }()
		return recite(ctx, a)
	})
	least := uint64(math.MaxUint64)
	for range 5 {
		long := r.submit(chunks)
		<-said
		short := r.submit(1)
		for { // events of one worker arrive in order: then those of the long one are here
			if ev, err := short.next(math.MaxInt64); err != nil {
				t.Fatal(err)
			} else if ev.Kind == jobs.Done {
				break
			}
		}
		<-said
		least = min(least, mallocs(func() { readAll(t, long, chunks) }))
		long.end()
		short.end()
	}
	if least > chunks/10 {
		t.Errorf("%d allocations for %d chunks", least, chunks)
	}
}

func mallocs(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// readAll reads the answer as the server would.
func readAll(t *testing.T, c *call, chunks int) {
	b := &body{call: c}
	p := make([]byte, 4096)
	size := 0
	for {
		n, err := b.Read(p)
		size += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := chunks*len(chunk(" word")) + len(finish) + len("data: [DONE]\n\n"); size != want {
		t.Errorf("%d bytes, want %d", size, want)
	}
}

// BenchmarkStream is a stream of 1,000 chunks from worker to client: queue,
// frontend and HTTP client in one process.
func BenchmarkStream(b *testing.B) {
	const chunks = 1000
	r := start(b, anyone(), recite)
	b.ReportAllocs()
	for b.Loop() {
		resp := r.send(b.Context(), http.MethodPost, "/v1/chat/completions", streamRequest, "X-Client-Request-Id", strconv.Itoa(chunks))
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/chunks, "ns/chunk")
}

// BenchmarkRequest is one small JSON answer, all the way.
func BenchmarkRequest(b *testing.B) {
	r := start(b, anyone(), speak)
	b.ReportAllocs()
	for b.Loop() {
		r.post(plainRequest)
	}
}
