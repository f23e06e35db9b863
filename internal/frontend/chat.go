package frontend

import (
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// chat answers POST /v1/chat/completions.
func (s *Server) chat(fc *fiber.Ctx, c *call) error {
	if err := s.identify(fc, c); err != nil {
		return err
	}
	body, err := c.requestBody(fc)
	if err != nil {
		return err
	}
	req, err := protocol.ParseRequest(body)
	if err != nil {
		return err
	}
	if req.Stream && !fc.Request().Header.IsHTTP11() {
		return errOldHTTP()
	}
	key, err := idempotencyKey(fc)
	if err != nil {
		return err
	}
	job, err := s.admit(c, req, key != "")
	if err != nil {
		return err
	}
	if job.Keep != nil {
		return s.keptChat(fc, c, req, job)
	}
	stream, err := s.client.Submit(s.root, job)
	if err != nil {
		return err
	}
	c.dropBody(fc) // the queue has its own
	c.watch(stream)
	if req.Stream {
		return c.answerStream(fc)
	}
	return c.answerJSON(fc, envelopeOf(job))
}

// errOldHTTP refuses to stream without chunks, whose end could not be told from a
// broken connection.
func errOldHTTP() *protocol.Error {
	return &protocol.Error{
		Status: http.StatusHTTPVersionNotSupported, Type: protocol.TypeInvalidRequest, NoRetry: true,
		Message: "Streaming needs HTTP/1.1. Please use it, or set stream to false.",
	}
}

// admit makes a job of a valid request, if a worker serves its model to this key.
// keyed says that it has an Idempotency-Key.
func (s *Server) admit(c *call, req *protocol.Request, keyed bool) (*jobs.Job, error) {
	class, tier := classOf(req.ServiceTier, req.Background)
	c.model, c.class = loggedModel(req.Model), class.String()
	if len(req.Model) > longestModel || !c.key.Allows(req.Model) {
		return nil, protocol.ErrModelNotFound(req.Model)
	}
	pool, ok := s.catalogue.Pool(req.Model)
	if !ok {
		if !s.catalogue.Empty() {
			return nil, protocol.ErrModelNotFound(req.Model)
		}
		pool = c.cfg.DefaultPool // no worker ever came: the first one will know
	}
	timeout := c.cfg.RequestTimeout
	if req.Background {
		timeout = c.cfg.BackgroundTimeout
		c.deadline = c.began.Add(timeout) // whoever stays for its stream may stay to its end
	}
	c.completes = true
	return &jobs.Job{
		ID: c.id, Tenant: c.key.Tenant, Key: c.key.ID, Model: req.Model, Pool: pool, Class: class,
		Stream: req.Stream, ServiceTier: tier,
		Created: c.began.Unix(), Timeout: timeout, RequestID: c.clientID, Body: req.Body, Keep: keepOf(req, keyed),
	}, nil
}

// longestModel is how many bytes the name of a model may have. Longer ones are
// not looked up.
const longestModel = 512

// loggedModel cuts a model's name for the log: what follows a question mark are
// parameters, which may be text of the prompt.
func loggedModel(name string) string {
	const most = 64
	name, _, _ = strings.Cut(name[:min(len(name), most)], "?")
	return strings.Clone(strings.ToValidUTF8(name, ""))
}

// classOf chooses the class by the request's service tier, and the tier that the
// answer names: "auto" is answered with what it came to. Nobody watches a
// background request, so unless it says otherwise it lets the others go first.
func classOf(tier string, background bool) (jobs.Class, string) {
	switch {
	case tier == "flex":
		return jobs.Background, tier
	case tier == "auto" && background:
		return jobs.Background, "flex"
	case tier == "" && background:
		return jobs.Background, tier
	case tier == "auto":
		return jobs.Interactive, "default"
	}
	return jobs.Interactive, tier
}
