package frontend

import (
	"errors"
	"math"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// answerJSON waits for the outcome and answers with one completion: the one that
// came whole, unchanged, or else what the chunks add up to. A new attempt begins
// anew.
func (c *call) answerJSON(fc *fiber.Ctx, env protocol.Envelope) error {
	var pieces *protocol.Accumulator
	whole := false
	for {
		ev, err := c.next(math.MaxInt64)
		if err != nil {
			return err
		}
		switch ev.Kind {
		case jobs.Started:
			pieces, whole = nil, false
		case jobs.Answer:
			fc.Response().SetBody(ev.Data) // a copy: the event is read over
			whole = true
		case jobs.Chunk:
			if pieces == nil {
				pieces = protocol.NewAccumulator(env)
			}
			if err := pieces.Add(ev.Data); err != nil {
				return protocol.ErrInternal().Wrap(err)
			}
		case jobs.Failed:
			return c.final(ev.Failed())
		case jobs.Done:
			return c.complete(fc, ev, whole, pieces)
		}
	}
}

// complete answers once the job is done.
func (c *call) complete(fc *fiber.Ctx, ev jobs.Event, whole bool, pieces *protocol.Accumulator) error {
	outcome, err := ev.Done()
	if err != nil {
		return protocol.ErrInternal().Wrap(err)
	}
	c.timing, c.timed = outcome.Timing, true
	if whole {
		fc.Response().Header.SetContentType(fiber.MIMEApplicationJSON)
		return nil
	}
	if pieces == nil {
		return protocol.ErrInternal().Wrap(errors.New("job is done without an answer"))
	}
	body, err := pieces.Completion(nil)
	if err != nil {
		return protocol.ErrInternal().Wrap(err)
	}
	return sendJSON(fc, body)
}
