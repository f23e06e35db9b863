package frontend

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// reading is what a call knows of the kept job whose answer it gives.
type reading struct {
	env          protocol.Envelope
	includeUsage bool
	after        uint64 // the last event that the client has
	keyed        bool   // it was asked for with an idempotency key
	hidden       bool   // it is kept for its idempotency key alone
	retrieved    bool   // the client asks for what is kept: the job's failure is no failure of the request
}

// sum is a request's body as claim compares it.
func sum(body []byte) [sha256.Size]byte { return sha256.Sum256(body) }

// keepOf says how the job of a request is kept, nil for not at all. A key keeps a
// job that nobody asked to be kept, for those who come with the same key.
func keepOf(req *protocol.Request, keyed bool) *jobs.Keep {
	if !req.Store && !keyed {
		return nil
	}
	keep := &jobs.Keep{Hidden: !req.Store, Background: req.Background, Repeat: keyed}
	if req.Store {
		keep.Metadata = req.Metadata
	}
	return keep
}

// keptChat answers a request whose job is kept: by its own job, or by that of an
// earlier request with the same key.
func (s *Server) keptChat(fc *fiber.Ctx, c *call, req *protocol.Request, job *jobs.Job) error {
	own := completionID(job.ID)
	owner, err := s.claim(fc, c, sum(req.Body), own)
	if err != nil {
		return err
	}
	c.reading = &reading{includeUsage: req.IncludeUsage, keyed: job.Keep.Repeat, hidden: job.Keep.Hidden}
	if owner != own {
		id, ok := parseCompletionID(owner)
		if !ok {
			return errKeyReused()
		}
		job.ID, c.id = id, id
	}
	job.Created = job.ID.Time().Unix() // whoever submits the job says the same of it
	c.reading.env = envelopeOf(job)
	if owner != own {
		return s.joinChat(fc, c, job)
	}
	return s.submitKept(fc, c, job)
}

// claimGrace is how long a request waits for the job that another one with its key
// is about to submit, before it does so in its place.
const claimGrace = 300 * time.Millisecond

// joinChat answers from the job of an earlier request with the same key. Should
// there be none, its maker died between claim and record: then this request makes
// it. Both doing so at once is settled by the record, which one of them writes first.
func (s *Server) joinChat(fc *fiber.Ctx, c *call, job *jobs.Job) error {
	ctx, cancel := s.within(queueWait)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		kept, err := s.client.Kept(ctx, job.Tenant, job.ID, jobs.KeptOptions{Hidden: true})
		switch {
		case err == nil:
			return s.answerFrom(fc, c, job, kept)
		case !errors.Is(err, jobs.ErrNotKept):
			return queueError(err)
		case time.Since(c.began) > claimGrace:
			return s.makeUp(ctx, fc, c, job)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return queueError(context.Cause(ctx))
		}
	}
}

// makeUp submits the job of an earlier request with the same key, unless it was there
// and was deleted.
func (s *Server) makeUp(ctx context.Context, fc *fiber.Ctx, c *call, job *jobs.Job) error {
	deleted, err := s.client.Deleted(ctx, job.Tenant, job.ID)
	if err != nil {
		return queueError(err)
	}
	if deleted {
		return &protocol.Error{
			Status: http.StatusConflict, Type: protocol.TypeInvalidRequest, Code: "completion_deleted", NoRetry: true,
			Message: "The completion that was made with this Idempotency-Key was deleted. Use a new key for a new completion.",
		}
	}
	return s.submitKept(fc, c, job)
}

// submitKept submits a kept job and answers from its events.
func (s *Server) submitKept(fc *fiber.Ctx, c *call, job *jobs.Job) error {
	ctx, cancel := s.within(queueWait)
	defer cancel()
	if job.Keep.Background {
		if err := s.client.SubmitBackground(ctx, job); err != nil {
			return queueError(err)
		}
		if job.Stream {
			c.dropBody(fc)
			return s.follow(fc, c, true)
		}
		return s.accepted(fc, job)
	}
	stream, err := s.client.Submit(ctx, job)
	if errors.Is(err, jobs.ErrSubmitted) { // by a request with the same key, just now
		return s.follow(fc, c, job.Stream)
	}
	if err != nil {
		return queueError(err)
	}
	c.dropBody(fc)
	if !job.Stream {
		c.watch(stream)
		return c.answer(fc, false)
	}
	tenant, id := c.key.Tenant, c.id
	c.watch(&rereading{first: stream, follow: func() (events, error) {
		ctx, cancel := s.within(queueWait)
		defer cancel()
		return s.client.Follow(ctx, tenant, id, 0)
	}})
	return c.answer(fc, true)
}

// sweepMargin is how much longer than its time a job may be there that has not ended.
const sweepMargin = 2 * time.Hour

// sweepKept looks after kept jobs that nobody reads, as long as the server runs.
func (s *Server) sweepKept() {
	ctx, cancel := context.WithCancel(s.root)
	defer cancel()
	s.wg.Go(func() {
		defer cancel()
		select {
		case <-s.done:
		case <-ctx.Done():
		}
	})
	cfg := s.cfg.Load()
	s.client.Sweep(ctx, max(cfg.BackgroundTimeout, cfg.RequestTimeout, 24*time.Hour)+sweepMargin)
}

// accepted answers a background request whose job is stored.
func (s *Server) accepted(fc *fiber.Ctx, job *jobs.Job) error {
	place := s.client.PlaceOf(job)
	known := *job
	known.Body = nil // the client knows what it asked for
	return sendKept(fc, &jobs.Kept{Job: &known, Metadata: job.Keep.Metadata, Status: jobs.KeptQueued, Place: &place})
}

// answerFrom answers a request to create a completion from a job that is there.
func (s *Server) answerFrom(fc *fiber.Ctx, c *call, job *jobs.Job, kept *jobs.Kept) error {
	if !job.Keep.Background || job.Stream {
		c.dropBody(fc)
		return s.follow(fc, c, job.Stream)
	}
	return sendKept(fc, kept)
}

// streamCompletion answers GET /v1/chat/completions/{id}?stream=true: the events that
// the client does not have, and then those that come.
func (s *Server) streamCompletion(fc *fiber.Ctx, c *call, id jobs.ID) error {
	if !fc.Request().Header.IsHTTP11() {
		return errOldHTTP()
	}
	after, err := startingAfter(fc)
	if err != nil {
		return err
	}
	ctx, cancel := s.within(queueWait)
	kept, err := s.client.Kept(ctx, c.key.Tenant, id, jobs.KeptOptions{WithBody: true})
	cancel()
	if err != nil {
		return keptError(c, err)
	}
	req, err := protocol.DecodeRequest(kept.Job.Body)
	if err != nil {
		return err
	}
	c.model, c.class = loggedModel(kept.Job.Model), kept.Job.Class.String()
	c.id, c.completes = id, true
	c.deadline = c.began.Add(max(c.cfg.BackgroundTimeout, c.cfg.RequestTimeout)) // the job has one of its own
	c.reading = &reading{env: envelopeOf(kept.Job), includeUsage: req.IncludeUsage, after: after, retrieved: true}
	return s.follow(fc, c, true)
}

// startingAfter is the last event that the client has: the parameter, or else what
// a browser's EventSource sends when it comes back.
func startingAfter(fc *fiber.Ctx) (uint64, error) {
	name, text := "starting_after", string(fc.Request().URI().QueryArgs().Peek("starting_after"))
	if text == "" {
		name, text = "Last-Event-ID", string(fc.Request().Header.Peek("Last-Event-ID"))
	}
	if text == "" {
		return 0, nil
	}
	n, err := integerParam(name, text, 0, 1<<62)
	return uint64(n), err
}

// follow answers with the stored events of the call's completion and those that
// come, as a stream or as one answer.
func (s *Server) follow(fc *fiber.Ctx, c *call, stream bool) error {
	ctx, cancel := s.within(queueWait)
	defer cancel()
	replay, err := s.client.Follow(ctx, c.key.Tenant, c.id, c.reading.after)
	if errors.Is(err, jobs.ErrEventsGone) {
		return errEventsGone(c.reading.env.ID).Wrap(err)
	}
	if errors.Is(err, jobs.ErrNotKept) && c.reading.keyed { // the request before this one was just refused
		return protocol.ErrOverloaded(time.Second).Wrap(err)
	}
	if err != nil {
		return keptError(c, err)
	}
	c.watch(replay)
	return c.answer(fc, stream)
}

// answer answers from the events of the call's job.
func (c *call) answer(fc *fiber.Ctx, stream bool) error {
	if stream {
		return c.answerStream(fc)
	}
	return c.answerJSON(fc, c.reading.env)
}

// events appends a whole answer as the events of a stream that the client does not
// have yet.
func (r *reading) events(dst, answer []byte) ([]byte, error) {
	if r == nil {
		return dst, protocol.ErrInternal().Wrap(errors.New("whole answer in a stream"))
	}
	dst, _, err := protocol.AppendAnswerEvents(dst, answer, r.env, r.includeUsage, r.after)
	return dst, err
}

func errEventsGone(id string) *protocol.Error {
	return &protocol.Error{
		Status: http.StatusGone, Type: protocol.TypeInvalidRequest, Param: "starting_after", Code: "events_expired", NoRetry: true,
		Message: "The events of this completion that follow are no longer stored. Retrieve the whole completion with " +
			"GET /v1/chat/completions/" + id + ", or stream it from its beginning, without starting_after.",
	}
}
