package frontend

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// statusGone is what a request is logged with whose client did not wait for the
// answer. It is never sent.
const statusGone = 499

var (
	errGone   = errors.New("client gone")
	errBroken = errors.New("events ended without an outcome")
)

// stopCause says who ended a call from outside.
type stopCause int32

const (
	stopNone stopCause = iota
	stopGone
	stopShutdown
)

// call is one HTTP request in flight. It belongs to its connection's goroutine,
// except stop. Nothing in it points into the buffers of fiber.
type call struct {
	srv       *Server
	cfg       *Config // as it was when the request came
	conn      *conn
	id        jobs.ID // of the job too, if one comes of it, or is read
	completes bool    // the id names a completion
	began     time.Time
	deadline  time.Time

	method, path, route string
	param               string // what stands for {id} in the route
	clientID            string // X-Client-Request-Id
	body                int64  // bytes reserved for the request's body
	short               bool   // there was not enough room for it
	key                 *jobs.Key
	class, model        string

	stream  events       // nil before submission
	reading *reading     // of a kept job; else nil
	cause   atomic.Int32 // a stopCause; set once
	slot    int          // guarded by the watcher's lock
	timing  jobs.Timing  // as far as known
	timed   bool         // timing is known
	status  int          // as logged
	err     error        // why, if not as hoped
}

// events are what an answer is made of: a jobs.Stream of a job that the call
// submitted, a jobs.Replay of one that it reads along. Close may be called from any
// goroutine; it cancels a plain job and leaves a kept one alone.
type events interface {
	Next(wait time.Duration) (jobs.Event, error)
	Ready() bool
	Stored() bool // the queue took the job
	Close()
}

func (s *Server) begin(fc *fiber.Ctx) *call {
	now := time.Now()
	cfg := s.cfg.Load()
	c := &call{
		srv: s, cfg: cfg, id: jobs.NewID(), began: now, deadline: now.Add(cfg.RequestTimeout),
		method: string(fc.Context().Method()), path: string(fc.Context().URI().PathOriginal()),
		route: "other", clientID: truncated(fc.Get("X-Client-Request-Id")),
	}
	room := s.bodies.claim(&fc.Request().Header)
	c.body, c.short = room.bytes, room.short
	if conn, ok := fc.Context().Conn().(*conn); ok {
		c.conn = conn
		conn.answering.Store(true)
		c.body += conn.promised.Swap(0)
	}
	return c
}

// dropBody gives back what the request's body took. Nothing may point into it.
func (c *call) dropBody(fc *fiber.Ctx) {
	fc.Request().ReleaseBody(smallBody) // to the collector: a pool would keep its size
	fc.Request().ResetBody()
	c.resize(0)
}

// resize reserves n bytes instead of those before.
func (c *call) resize(n int64) {
	c.srv.bodies.give(c.body - n)
	c.body = n
}

// truncated copies a header of the client's for the log.
func truncated(s string) string {
	const most = 128
	return string(append([]byte(nil), s[:min(len(s), most)]...))
}

// watch lets the watcher end the call from now on.
func (c *call) watch(stream events) {
	c.stream = stream
	c.srv.metrics.open.Inc()
	c.srv.watch.add(c)
}

// stop ends the call's stream from outside. The first cause counts. Any goroutine
// may call it once the call is watched.
func (c *call) stop(cause stopCause) {
	if c.cause.CompareAndSwap(int32(stopNone), int32(cause)) {
		c.stream.Close()
	}
}

// next waits for an event, at most for wait and until the deadline. The error is
// jobs.ErrSilent, errGone, errBroken, or a *protocol.Error for the client.
func (c *call) next(wait time.Duration) (jobs.Event, error) {
	ev, err := jobs.Event{}, jobs.ErrSilent
	if c.stream.Ready() { // then the time need not be asked for
		ev, err = c.stream.Next(0)
	}
	if errors.Is(err, jobs.ErrSilent) {
		ev, err = c.stream.Next(min(wait, time.Until(c.deadline)))
	}
	switch {
	case err == nil:
		return ev, nil
	case errors.Is(err, jobs.ErrSilent):
		if time.Now().Before(c.deadline) {
			return ev, jobs.ErrSilent
		}
		return ev, protocol.ErrTimeout("The request took longer than " + c.deadline.Sub(c.began).String() + ".")
	}
	switch stopCause(c.cause.Load()) {
	case stopGone:
		return ev, errGone
	case stopShutdown:
		return ev, c.errShutdown()
	}
	return ev, errors.Join(errBroken, err)
}

// final is the failure of the call's job. Under an idempotency key it stays as it is:
// asking again would only show it again, unless the queue never took the job.
func (c *call) final(e *protocol.Error) *protocol.Error {
	if c.reading == nil || !c.reading.keyed {
		return e
	}
	if !c.stream.Stored() {
		return e
	}
	last := *e
	last.NoRetry, last.RetryAfter = true, 0
	return &last
}

// errShutdown says how to go on elsewhere.
func (c *call) errShutdown() *protocol.Error {
	text := "The server is shutting down. Please try again."
	switch {
	case c.reading == nil:
	case c.reading.hidden:
		text = "The server is shutting down, your request goes on. Please send it again with the same Idempotency-Key."
	default:
		text = "The server is shutting down, your request goes on. Please take its events up again at /v1/chat/completions/" +
			c.reading.env.ID + "?stream=true, after the last one that you have."
	}
	return protocol.ErrUnavailable(text, time.Second)
}

// end closes the call: the job is cancelled unless it is done, and one line logged.
func (c *call) end() {
	if c.stream != nil {
		c.srv.watch.remove(c)
		c.srv.metrics.open.Dec()
		c.stream.Close()
		_, _ = c.stream.Next(0) // gives back the memory of the last event
	}
	c.resize(0)
	took := time.Since(c.began)
	c.srv.metrics.observe(c, took)
	level := slog.LevelInfo
	if c.status >= 500 {
		level = slog.LevelWarn
	}
	ctx, log := context.Background(), c.srv.log.Handler()
	if log.Enabled(ctx, level) {
		line := slog.NewRecord(time.Now(), level, "request", 0) // without its place in the source, which costs a third of all and is never asked for
		c.describe(&line, took)
		_ = log.Handle(ctx, line)
	}
}

func (c *call) describe(line *slog.Record, took time.Duration) {
	var buf [12]slog.Attr
	attrs := append(buf[:0],
		slog.String("method", c.method), slog.String("path", c.path), slog.Int("status", c.status),
		slog.Duration("duration", took), slog.String("job_id", c.id.String()))
	for _, a := range [...]slog.Attr{
		slog.String("class", c.class), slog.String("model", c.model), slog.String("client_request_id", c.clientID),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if c.key != nil {
		attrs = append(attrs, slog.String("tenant", c.key.Tenant), slog.String("key_id", c.key.ID))
	}
	if c.timed {
		attrs = append(attrs, slog.Duration("queue", c.timing.Queue), slog.Duration("model_time", c.timing.Model))
	}
	if c.err != nil && c.status >= statusGone {
		attrs = append(attrs, slog.String("error", c.err.Error()))
	}
	line.AddAttrs(attrs...)
}

// milliseconds rounds up: a retry that comes too early comes for nothing.
func milliseconds(d time.Duration) int64 {
	return int64(math.Ceil(float64(d) / float64(time.Millisecond)))
}
