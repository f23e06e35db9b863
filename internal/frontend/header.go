package frontend

import (
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// exposed names what a browser may read of an answer. A star would not do: it
// does not cover requests with credentials in every browser.
const exposed = "content-disposition, content-range, etag, x-request-id, request-id, retry-after, retry-after-ms, x-should-retry, openai-processing-ms, openai-version, " +
	"server-timing, x-ratelimit-limit-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-requests, " +
	"x-ratelimit-remaining-tokens, x-ratelimit-reset-requests, x-ratelimit-reset-tokens"

// setHeaders writes what every answer carries.
func (c *call) setHeaders(fc *fiber.Ctx) {
	h := &fc.Response().Header
	var buf [128]byte
	id := c.appendID(buf[:0])
	h.SetBytesV("X-Request-Id", id)
	if len(fc.Request().Header.Peek("Anthropic-Version")) > 0 {
		h.SetBytesV("Request-Id", id)
	}
	h.SetBytesV("Openai-Processing-Ms", strconv.AppendInt(buf[:0], time.Since(c.began).Milliseconds(), 10))
	h.Set("Openai-Version", "2020-10-01")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", exposed)
	if c.timed {
		h.SetBytesV("Server-Timing", appendTiming(buf[:0], c.timing))
	}
	if c.srv.draining.Load() {
		fc.Context().SetConnectionClose()
	}
}

// appendID appends what X-Request-Id names: a completion by its own id.
func (c *call) appendID(dst []byte) []byte {
	if c.completes {
		dst = append(dst, completionPrefix...)
	}
	dst, _ = c.id.AppendText(dst) // never fails
	return dst
}

// appendTiming says in milliseconds where the time went until the first token, or
// until the whole answer if it came whole.
func appendTiming(dst []byte, t jobs.Timing) []byte {
	for i, part := range [...]struct {
		name string
		d    time.Duration
	}{{"queue;dur=", t.Queue}, {"worker;dur=", t.Worker}, {"model;dur=", t.Model}} {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, part.name...)
		dst = strconv.AppendFloat(dst, float64(part.d.Microseconds())/1000, 'f', -1, 64)
	}
	return dst
}

// refuse answers with an error.
func (c *call) refuse(fc *fiber.Ctx, err error) {
	e := protocol.AsError(err)
	c.status, c.err = e.Status, err
	if c.status < 400 || c.status > 599 {
		c.status = fiber.StatusInternalServerError
	}
	fc.Response().ResetBody()
	fc.Status(c.status)
	h := &fc.Response().Header
	if e.RetryAfter > 0 {
		ms := milliseconds(e.RetryAfter)
		h.Set("Retry-After", strconv.FormatInt((ms+999)/1000, 10))
		h.Set("Retry-After-Ms", strconv.FormatInt(ms, 10))
	}
	if e.NoRetry {
		h.Set("X-Should-Retry", "false")
	}
	fc.Response().SetBodyRaw(e.AppendJSON(nil))
	h.SetContentType(fiber.MIMEApplicationJSON)
	c.setHeaders(fc)
}

// sendJSON answers 200 with body, which must not change afterwards.
func sendJSON(fc *fiber.Ctx, body []byte) error {
	fc.Response().SetBodyRaw(body)
	fc.Response().Header.SetContentType(fiber.MIMEApplicationJSON)
	return nil
}

// preflight answers a browser that asks what it may send.
func preflight(fc *fiber.Ctx, c *call) error {
	c.route = "preflight"
	h := &fc.Response().Header
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
	if asked := fc.Request().Header.Peek("Access-Control-Request-Headers"); len(asked) > 0 {
		h.SetBytesV("Access-Control-Allow-Headers", asked) // a star does not cover Authorization
		h.Set("Vary", "Access-Control-Request-Headers")
	}
	h.Set("Access-Control-Max-Age", "600")
	fc.Status(fiber.StatusNoContent)
	return nil
}
