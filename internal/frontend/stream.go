package frontend

import (
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// answerStream waits for the first chunk, so that a failure before it has its own
// status. After Config.HoldBack the headers go out without one; at once if what is
// kept is only read.
func (c *call) answerStream(fc *fiber.Ctx) error {
	hold := c.began.Add(c.cfg.HoldBack)
	if c.reading != nil && c.reading.retrieved {
		hold = c.began
	}
	for {
		ev, err := c.next(time.Until(hold))
		if errors.Is(err, jobs.ErrSilent) {
			return c.startStream(fc, &body{call: c})
		}
		if err != nil {
			return err
		}
		switch ev.Kind {
		case jobs.Opened:
			c.opened(ev)
		case jobs.Chunk:
			b := &body{call: c}
			b.put(ev.Data)
			return c.startStream(fc, b)
		case jobs.Failed:
			return c.failed(fc, ev)
		case jobs.Answer:
			events, err := c.reading.events(nil, ev.Data)
			if err != nil {
				return err
			}
			b := &body{call: c}
			b.put(events)
			return c.startStream(fc, b)
		case jobs.Done:
			if c.reading == nil || c.reading.after == 0 {
				return protocol.ErrInternal().Wrap(errors.New("job is done without an answer"))
			}
			return c.startStream(fc, &body{call: c, rest: []byte(protocol.Done), last: true})
		}
	}
}

// failed answers with a job's failure. It is the request's own unless the client
// asks for what is kept, and is then told as it would have been in the stream.
func (c *call) failed(fc *fiber.Ctx, ev jobs.Event) error {
	e := ev.Failed()
	if c.reading == nil || !c.reading.retrieved {
		return c.final(e)
	}
	return c.startStream(fc, &body{call: c, rest: append(e.AppendEvent(nil), protocol.Done...), last: true})
}

// opened notes how long the first token took.
func (c *call) opened(ev jobs.Event) {
	if t, err := ev.Opened(); err == nil {
		c.timing, c.timed = t, true
	}
}

// startStream answers 200 with the events that b has and will have. The call ends
// with the body.
func (c *call) startStream(fc *fiber.Ctx, b *body) error {
	c.status = http.StatusOK
	h := &fc.Response().Header
	h.SetContentType("text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	c.setHeaders(fc)
	b.headed = len(b.rest) == 0
	fc.Response().ImmediateHeaderFlush = b.headed
	fc.Context().SetBodyStream(b, -1)
	return errUnfinished
}
