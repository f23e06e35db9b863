package frontend

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// Pages of batches, as OpenAI has them.
const (
	batchPage     = 20
	batchPageMost = 100
)

// createBatch answers POST /v1/batches: the batch, which is stored by then and will
// be driven. What is in its input file is looked at later.
func (s *Server) createBatch(fc *fiber.Ctx, c *call) error {
	if err := s.identify(fc, c); err != nil {
		return err
	}
	body, err := c.requestBody(fc)
	if err != nil {
		return err
	}
	req, err := protocol.ParseBatchRequest(body, c.cfg.BatchWindows...)
	if err != nil {
		return err
	}
	ctx, cancel := s.within(queueWait)
	defer cancel()
	if err := s.checkPurpose(ctx, c, req.InputFileID); err != nil {
		return err
	}
	fresh := jobs.NewBatchID()
	id, err := s.claim(fc, c, sha256.Sum256(body), fresh)
	if err != nil {
		return err
	}
	b, err := s.ensureBatch(ctx, c, req, id, id != fresh)
	if err != nil {
		return queueError(err)
	}
	return sendJSON(fc, b.Object.AppendJSON(nil))
}

// checkPurpose refuses an input file that was uploaded for something else. One that
// is not there is no reason to refuse: the batch is created, and fails.
func (s *Server) checkPurpose(ctx context.Context, c *call, file string) error {
	f, err := s.queue.File(ctx, c.key.Tenant, file)
	switch {
	case errors.Is(err, jobs.ErrNoFile):
		return nil
	case err != nil:
		return queueError(err)
	case f.Purpose != "batch":
		return protocol.ErrBatchPurpose(f.Purpose)
	}
	return nil
}

// ensureBatch returns the batch of this id, which it creates if need be: an earlier
// request with the same Idempotency-Key, which claimed the id, may have died before
// it did.
func (s *Server) ensureBatch(ctx context.Context, c *call, req *protocol.BatchRequest, id string, claimed bool) (*jobs.StoredBatch, error) {
	if claimed {
		b, err := s.queue.Batch(ctx, c.key.Tenant, id)
		if !errors.Is(err, jobs.ErrNoBatch) {
			return b, err
		}
	}
	b := &jobs.StoredBatch{
		Object: protocol.Batch{
			ID: id, Endpoint: req.Endpoint, InputFileID: req.InputFileID, CompletionWindow: req.Window,
			Status: protocol.BatchValidating, CreatedAt: c.began.Unix(), ExpiresAt: c.began.Add(req.Duration).Unix(),
			Metadata: req.Metadata,
		},
		Tenant: c.key.Tenant, Key: c.key.ID, OutputExpires: req.OutputExpires,
	}
	if err := s.queue.HoldInput(ctx, b); err != nil { // it may be deleted from the moment at which the client has an answer
		return nil, err
	}
	if err := s.queue.CreateBatch(ctx, b); err != nil || !claimed {
		return b, err
	}
	return s.queue.Batch(ctx, c.key.Tenant, id) // two requests may have created it together
}

// getBatch answers GET /v1/batches/{id}.
func (s *Server) getBatch(fc *fiber.Ctx, c *call) error {
	return s.answerBatch(fc, c, s.queue.Batch)
}

// cancelBatch answers POST /v1/batches/{id}/cancel. Doing it again is fine, which
// makes an Idempotency-Key superfluous.
func (s *Server) cancelBatch(fc *fiber.Ctx, c *call) error {
	return s.answerBatch(fc, c, s.queue.CancelBatch)
}

// answerBatch answers with the batch that the path names, as do returns it.
func (s *Server) answerBatch(fc *fiber.Ctx, c *call, do func(ctx context.Context, tenant, id string) (*jobs.StoredBatch, error)) error {
	if err := s.identify(fc, c); err != nil {
		return err
	}
	ctx, cancel := s.within(queueWait)
	defer cancel()
	b, err := do(ctx, c.key.Tenant, c.param)
	if errors.Is(err, jobs.ErrNoBatch) {
		return protocol.ErrNoBatch(c.param)
	}
	if err != nil {
		return queueError(err)
	}
	return sendJSON(fc, b.Object.AppendJSON(nil))
}

// listBatches answers GET /v1/batches, newest first.
func (s *Server) listBatches(fc *fiber.Ctx, c *call) error {
	if err := s.identify(fc, c); err != nil {
		return err
	}
	q, err := parseListQuery(fc, batchPageMost, listQuery{limit: batchPage})
	if err != nil {
		return err
	}
	if err := checkAfter(q.after, jobs.BatchPrefix); err != nil {
		return err
	}
	ctx, cancel := s.within(queueWait)
	defer cancel()
	list, more, err := s.queue.ListBatches(ctx, c.key.Tenant, q.after, q.limit)
	if err != nil {
		return queueError(err)
	}
	objects := make([]*protocol.Batch, 0, len(list))
	for _, b := range list {
		objects = append(objects, &b.Object)
	}
	return sendJSON(fc, protocol.AppendBatchList(nil, objects, more))
}

// checkWindows reports the windows that are none.
func checkWindows(windows []string) (faults []error) {
	for _, w := range windows {
		if _, err := protocol.ParseWindow(w); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}
