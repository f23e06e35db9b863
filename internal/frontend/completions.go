package frontend

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// completionPrefix begins the id of a completion; the job's follows.
const completionPrefix = "chatcmpl-"

// completionID is how clients name the completion of a job.
func completionID(id jobs.ID) string { return completionPrefix + id.String() }

// parseCompletionID is the inverse.
func parseCompletionID(s string) (jobs.ID, bool) {
	digits, ok := strings.CutPrefix(s, completionPrefix)
	if !ok {
		return jobs.ID{}, false
	}
	id, err := jobs.ParseID(digits)
	return id, err == nil
}

func errNoCompletion(id string) *protocol.Error {
	return &protocol.Error{
		Status: http.StatusNotFound, Type: protocol.TypeInvalidRequest, Param: "completion_id",
		Message: fmt.Sprintf("No chat completion found with id '%s'.", strings.ToValidUTF8(id[:min(len(id), 256)], "")),
	}
}

// completion identifies the caller and the completion that the path names, for a
// handler of that completion.
func (s *Server) completion(fc *fiber.Ctx, c *call) (jobs.ID, error) {
	if err := s.identify(fc, c); err != nil {
		return jobs.ID{}, err
	}
	id, ok := parseCompletionID(c.param)
	if !ok {
		return jobs.ID{}, errNoCompletion(c.param)
	}
	return id, nil
}

// keptError is queueError for what is asked about a completion: one of another
// tenant is not there.
func keptError(c *call, err error) error {
	if !errors.Is(err, jobs.ErrNotKept) {
		return queueError(err)
	}
	if c.reading != nil {
		return errNoCompletion(c.reading.env.ID)
	}
	return errNoCompletion(c.param)
}

// getCompletion answers GET /v1/chat/completions/{id}: the completion as it is now,
// or its events.
func (s *Server) getCompletion(fc *fiber.Ctx, c *call) error {
	id, err := s.completion(fc, c)
	if err != nil {
		return err
	}
	stream, err := booleanParam(fc, "stream")
	if err != nil {
		return err
	}
	if stream && c.method != fiber.MethodHead {
		return s.streamCompletion(fc, c, id)
	}
	return s.answerKept(fc, c, func(ctx context.Context) (*jobs.Kept, error) {
		return s.client.Kept(ctx, c.key.Tenant, id, jobs.KeptOptions{SmallBody: true})
	})
}

// answerKept answers with the kept job that ask returns.
func (s *Server) answerKept(fc *fiber.Ctx, c *call, ask func(context.Context) (*jobs.Kept, error)) error {
	ctx, cancel := s.within(queueWait)
	defer cancel()
	kept, err := ask(ctx)
	if err != nil {
		return keptError(c, err)
	}
	return sendKept(fc, kept)
}

func sendKept(fc *fiber.Ctx, kept *jobs.Kept) error {
	body, err := appendKept(nil, kept)
	if err != nil {
		return protocol.ErrInternal().Wrap(err)
	}
	return sendJSON(fc, body)
}

// appendKept appends a kept job as its owner sees it.
func appendKept(dst []byte, kept *jobs.Kept) ([]byte, error) {
	stored := protocol.StoredCompletion{
		Envelope: envelopeOf(kept.Job), Status: protocol.CompletionStatus(kept.Status),
		Metadata: kept.Metadata, Request: kept.Job.Body,
	}
	if kept.Place != nil {
		stored.Place = &protocol.QueuePlace{Position: kept.Place.Position, Wait: kept.Place.Wait}
	}
	if kept.Result != nil {
		stored.Answer, stored.Error = kept.Result.Body, kept.Result.Error
	}
	return protocol.AppendStored(dst, &stored)
}

// envelopeOf is what Osiris says about the answer to a job.
func envelopeOf(job *jobs.Job) protocol.Envelope {
	return protocol.Envelope{
		ID: completionID(job.ID), Created: job.Created, Model: job.Model, ServiceTier: job.ServiceTier,
	}
}

// listCompletions answers GET /v1/chat/completions.
func (s *Server) listCompletions(fc *fiber.Ctx, c *call) error {
	if err := s.identify(fc, c); err != nil {
		return err
	}
	q, err := parseKeptQuery(fc)
	if err != nil {
		return err
	}
	ctx, cancel := s.within(3 * queueWait) // a filter that selects few looks at many
	defer cancel()
	list, more, err := s.client.ListKept(ctx, c.key.Tenant, q)
	if err != nil {
		return queueError(err)
	}
	page := protocol.Page{HasMore: more, Items: make([][]byte, 0, len(list))}
	for _, kept := range list {
		item, err := appendKept(nil, kept)
		if err != nil {
			return protocol.ErrInternal().Wrap(err)
		}
		page.Items = append(page.Items, item)
	}
	if len(list) > 0 {
		page.FirstID, page.LastID = completionID(list[0].Job.ID), completionID(list[len(list)-1].Job.ID)
	}
	return sendJSON(fc, protocol.AppendPage(nil, page))
}

// parseKeptQuery reads what a list of completions is asked by: OpenAI's parameters
// and status, which is ours.
func parseKeptQuery(fc *fiber.Ctx) (jobs.KeptQuery, error) {
	list, err := parseListQuery(fc, 100, listQuery{limit: 20})
	if err != nil {
		return jobs.KeptQuery{}, err
	}
	metadata, err := metadataParams(fc)
	if err != nil {
		return jobs.KeptQuery{}, err
	}
	args := fc.Request().URI().QueryArgs()
	q := jobs.KeptQuery{
		SmallBody: true, Limit: list.limit, Descending: list.order == protocol.Descending,
		Model: string(args.Peek("model")), Metadata: metadata, Status: jobs.KeptStatus(args.Peek("status")),
	}
	if list.after != "" {
		id, ok := parseCompletionID(list.after)
		if !ok {
			return q, protocol.ErrInvalid("after", "invalid_value", "Invalid value: '%s'. It is not the id of a chat completion.",
				strings.ToValidUTF8(list.after[:min(len(list.after), 256)], ""))
		}
		q.After = id
	}
	if q.Status != "" && !slices.Contains(statuses(), string(q.Status)) {
		return q, valueError("status", string(q.Status), statuses()...)
	}
	return q, nil
}

func statuses() []string {
	var words []string
	for _, s := range protocol.CompletionStatuses() {
		words = append(words, string(s))
	}
	return words
}

// updateCompletion answers POST /v1/chat/completions/{id}: metadata alone can
// change, and is replaced as a whole.
func (s *Server) updateCompletion(fc *fiber.Ctx, c *call) error {
	id, err := s.completion(fc, c)
	if err != nil {
		return err
	}
	body, err := c.requestBody(fc)
	if err != nil {
		return err
	}
	metadata, err := protocol.ParseMetadataUpdate(body)
	if err != nil {
		return err
	}
	if err := s.claimChange(fc, c, sum(body), id); err != nil {
		return err
	}
	return s.answerKept(fc, c, func(ctx context.Context) (*jobs.Kept, error) {
		return s.client.SetMetadata(ctx, c.key.Tenant, id, metadata)
	})
}

// claimChange ties the request's Idempotency-Key to a change of a completion, once that
// is known to be there. Doing it again changes nothing, so whose the key is does not
// matter.
func (s *Server) claimChange(fc *fiber.Ctx, c *call, body [sha256.Size]byte, id jobs.ID) error {
	key, err := idempotencyKey(fc)
	if err != nil || key == "" {
		return err
	}
	ctx, cancel := s.within(queueWait)
	defer cancel()
	if _, err := s.client.Kept(ctx, c.key.Tenant, id, jobs.KeptOptions{}); err != nil {
		return keptError(c, err)
	}
	_, err = s.claim(fc, c, body, c.param)
	return err
}

// deleteCompletion answers DELETE /v1/chat/completions/{id}. One that still runs is
// cancelled.
func (s *Server) deleteCompletion(fc *fiber.Ctx, c *call) error {
	id, err := s.completion(fc, c)
	if err != nil {
		return err
	}
	ctx, cancel := s.within(queueWait)
	defer cancel()
	if err := s.client.DeleteKept(ctx, c.key.Tenant, id); err != nil {
		return keptError(c, err)
	}
	return sendJSON(fc, protocol.AppendDeleted(nil, c.param))
}

// listMessages answers GET /v1/chat/completions/{id}/messages with what was asked.
func (s *Server) listMessages(fc *fiber.Ctx, c *call) error {
	id, err := s.completion(fc, c)
	if err != nil {
		return err
	}
	q, err := parseListQuery(fc, 100, listQuery{limit: 20})
	if err != nil {
		return err
	}
	ctx, cancel := s.within(queueWait)
	defer cancel()
	kept, err := s.client.Kept(ctx, c.key.Tenant, id, jobs.KeptOptions{WithBody: true})
	if err != nil {
		return keptError(c, err)
	}
	c.resize(c.body + int64(len(kept.Job.Body))) // until the end of the call
	page, err := protocol.MessagePage(c.param, kept.Job.Body, q.after, q.limit, q.order)
	if err != nil {
		return err
	}
	return sendJSON(fc, protocol.AppendPage(nil, page))
}

// cancelCompletion answers POST /v1/chat/completions/{id}/cancel with the completion,
// cancelled unless it had ended before.
func (s *Server) cancelCompletion(fc *fiber.Ctx, c *call) error {
	id, err := s.completion(fc, c)
	if err != nil {
		return err
	}
	if err := s.claimChange(fc, c, sum(nil), id); err != nil {
		return err
	}
	return s.answerKept(fc, c, func(ctx context.Context) (*jobs.Kept, error) {
		return s.client.CancelKept(ctx, c.key.Tenant, id)
	})
}
