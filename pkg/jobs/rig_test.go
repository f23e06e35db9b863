package jobs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// rig is a queue for one test: connections, clients and workers that end with it.
type rig struct {
	t    *testing.T
	nats *natstest.NATS
	cfg  Config
	conn *Conn // for looking

	together bool // clients and workers are on conn, as in one program
}

// eachRig runs f on one node and on a cluster of three.
func eachRig(t *testing.T, f func(t *testing.T, r *rig)) { eachRigWith(t, Config{}, f) }

func eachRigWith(t *testing.T, cfg Config, f func(t *testing.T, r *rig)) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) { f(t, newRig(t, n, cfg)) })
}

// eachWay runs f as eachRig does, with clients and workers on one connection, and with
// sockets between them.
func eachWay(t *testing.T, f func(t *testing.T, r *rig)) {
	eachRig(t, f)
	t.Run("together", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, natstest.Shared(t, 1), Config{})
		r.together = true
		f(t, r)
	})
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		f(t, newRig(t, natstest.Shared(t, 1), Config{Local: unchanged}))
	})
}

// unchanged is a Config.Local.
func unchanged(c net.Conn) net.Conn { return c }

func newRig(t *testing.T, n *natstest.NATS, cfg Config) *rig {
	r := &rig{t: t, nats: n, cfg: cfg}
	r.cfg.URL, r.cfg.Namespace = n.URLs(), n.Namespace
	r.cfg.Logger = slog.New(slog.DiscardHandler)
	if os.Getenv("OSIRIS_TEST_LOG") != "" {
		r.cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	r.conn = r.connect()
	return r
}

func (r *rig) connect() *Conn {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), election)
	defer cancel()
	c, err := Connect(ctx, r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

// place is the connection of a client or worker.
func (r *rig) place() *Conn {
	if r.together {
		return r.conn
	}
	return r.connect()
}

func (r *rig) client() *Client { return r.clientWith(ClientConfig{}) }

func (r *rig) clientWith(cfg ClientConfig) *Client {
	r.t.Helper()
	c := r.place()
	if err := c.EnsurePool(r.t.Context(), "default"); err != nil {
		r.t.Fatal(err)
	}
	cl, err := NewClient(r.t.Context(), c, cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(cl.Close)
	return cl
}

func (r *rig) worker(slots int, h Handler) *Consumer {
	return r.workerWith(ConsumeConfig{Slots: slots}, h)
}

func (r *rig) workerWith(cfg ConsumeConfig, h Handler) *Consumer {
	r.t.Helper()
	k, err := Consume(r.t.Context(), r.place(), cfg, h)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = k.Stop(ctx) // a test that cares stops it itself
	})
	return k
}

func newJob(body string) *Job {
	return &Job{
		ID: NewID(), Tenant: "acme", Key: "k1", Model: "echo", Pool: "default", Stream: true,
		Created: time.Now().Unix(), Timeout: time.Minute, Body: []byte(body),
	}
}

func (r *rig) submit(cl *Client, j *Job) *Stream {
	r.t.Helper()
	s, err := cl.Submit(r.t.Context(), j)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(s.Close)
	return s
}

// result is everything a stream said.
type result struct {
	kinds  []EventKind
	text   string // of chunks and answers of the last attempt
	done   Outcome
	failed *protocol.Error
	err    error
}

// collect reads a stream to its end, within limit for each event.
func collect(s *Stream, limit time.Duration) result {
	var res result
	for {
		e, err := s.Next(limit)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				res.err = err
			}
			return res
		}
		res.kinds = append(res.kinds, e.Kind)
		switch e.Kind {
		case Started:
			res.text = ""
		case Chunk, Answer:
			res.text += string(e.Data)
		case Done:
			res.done, res.err = e.Done()
		case Failed:
			res.failed = e.Failed()
		}
	}
}

// within waits until cond holds, looking often.
func within(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// waiting returns how many jobs of a class the broker holds.
func (r *rig) waiting(c Class) int {
	r.t.Helper()
	s, err := r.conn.js.Stream(r.t.Context(), r.conn.n.jobsStream(c))
	if err != nil {
		r.t.Fatal(err)
	}
	return int(s.CachedInfo().State.Msgs)
}

// empty waits until no job is left.
func (r *rig) empty() {
	r.t.Helper()
	within(r.t, patience, "queue empty", func() bool {
		return r.waiting(Interactive)+r.waiting(Background)+r.waiting(Batch) == 0
	})
}

// usage waits for n usage records and returns them.
func (r *rig) usage(n int) []UsageRecord {
	r.t.Helper()
	var all []UsageRecord
	within(r.t, patience, "usage stored", func() bool {
		s, err := r.conn.js.Stream(r.t.Context(), r.conn.n.usageStream())
		if err != nil {
			return false // a cluster may be without a leader just now
		}
		info, err := s.Info(r.t.Context())
		if err != nil {
			return false
		}
		all = nil
		for seq := info.State.FirstSeq; seq != 0 && seq <= info.State.LastSeq; seq++ {
			m, err := s.GetMsg(r.t.Context(), seq)
			if err != nil {
				return false // a copy that lags behind
			}
			for line := range bytes.Lines(m.Data) {
				var u UsageRecord
				if err := json.Unmarshal(line, &u); err != nil {
					r.t.Fatal(err)
				}
				all = append(all, u)
			}
		}
		return len(all) >= n
	})
	return all
}

// say emits the parts as chunks.
func say(parts ...string) Handler {
	return func(_ context.Context, a *Attempt) (Outcome, error) {
		for _, p := range parts {
			if err := a.Chunk([]byte(p)); err != nil {
				return Outcome{}, err
			}
		}
		return Outcome{FinishReason: "stop", Usage: protocol.Usage{TotalTokens: int64(len(parts))}}, nil
	}
}

// hold blocks until its context ends, counting what runs.
type hold struct{ begun, running, ended atomic.Int32 }

func (h *hold) run(ctx context.Context, _ *Attempt) (Outcome, error) {
	h.begun.Add(1)
	h.running.Add(1)
	<-ctx.Done()
	h.running.Add(-1)
	h.ended.Add(1)
	return Outcome{Usage: protocol.Usage{PromptTokens: 7}}, context.Cause(ctx)
}
