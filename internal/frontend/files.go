package frontend

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// longestFileList is how many files a page has at most, and unless asked otherwise.
const longestFileList = 10_000

// createFile answers POST /v1/files. The file is stored as it arrives; it exists
// once everything was found good.
func (s *Server) createFile(fc *fiber.Ctx, c *call) error {
	if err := s.identify(fc, c); err != nil {
		return err
	}
	h := &fc.Request().Header
	body, length := bodyOf(fc)
	if err := s.refusesUpload(h, length); err != nil {
		return err
	}
	if _, err := idempotencyKey(fc); err != nil {
		return err
	}
	if err := s.checkQuota(c, max(length-formMargin, 0)); err != nil {
		return err
	}
	if !s.bodies.all(uploadMemory, c.cfg.MaxBodies) {
		return errNoRoom()
	}
	c.body += uploadMemory
	plain, err := inflating(body, string(h.ContentEncoding()))
	if err != nil {
		return body.blame(err)
	}
	u := s.newUploadReader(c, plain, boundaryOf(h))
	defer u.close()
	if err := u.read(); err != nil {
		return body.blame(u.explain(err))
	}
	f, err := s.keep(fc, c, u)
	if err != nil {
		return err
	}
	return sendJSON(fc, protocol.AppendFile(nil, wireFile(f)))
}

// keep commits an upload that is good, unless another with the same Idempotency-Key
// was first.
func (s *Server) keep(fc *fiber.Ctx, c *call, u *uploadReader) (jobs.File, error) {
	if err := s.checkQuota(c, u.writer.Size()); err != nil {
		return jobs.File{}, err
	}
	id, err := s.claim(fc, c, u.hash(), jobs.FileID(c.id))
	if err != nil {
		return jobs.File{}, err
	}
	return u.commit(id)
}

// checkQuota refuses what would make the tenant's files too large together.
func (s *Server) checkQuota(c *call, more int64) error {
	ctx, cancel := s.within(queueWait)
	defer cancel()
	used, err := s.queue.FilesUsed(ctx, c.key.Tenant)
	if err != nil {
		return fileError(err)
	}
	if used+more > c.cfg.TenantFiles {
		return protocol.ErrFileQuota(c.cfg.TenantFiles)
	}
	return nil
}

// bodyOf returns an upload's body, also of one that the server has read.
func bodyOf(fc *fiber.Ctx) (*uploadBody, int64) {
	if b, ok := fc.Context().RequestBodyStream().(*uploadBody); ok {
		return b, b.length
	}
	raw := fc.BodyRaw()
	length := int64(len(raw)) // none of one that is asked about before it is sent
	return newUploadBody(bytes.NewReader(raw), length), max(length, hiddenLength(&fc.Request().Header))
}

// blame finds whose fault it is that a body could not be read: the sender's, before
// anything that its absence made of the form.
func (b *uploadBody) blame(err error) error {
	if _, ok := errors.AsType[*protocol.Error](err); ok && b.err == nil {
		return err
	}
	if fault := b.fault(); fault != nil {
		return fault
	}
	return err
}

// explain turns what a form was refused for into an answer.
func (u *uploadReader) explain(err error) error {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e
	}
	switch {
	case u.meter.over && u.writer != nil && u.writer.Size() > 0:
		return protocol.ErrFileTooLarge(u.sizeLimit())
	case u.meter.over:
		return protocol.ErrBodyTooLarge(formMargin).Wrap(err)
	case corrupt(err):
		return errCorrupt("gzip").Wrap(err)
	}
	return protocol.ErrInvalid("", "", "The body could not be parsed as multipart/form-data.").Wrap(err)
}

// listFiles answers GET /v1/files.
func (s *Server) listFiles(fc *fiber.Ctx, c *call) error {
	if err := s.identify(fc, c); err != nil {
		return err
	}
	args := fc.Context().QueryArgs()
	q := jobs.FileQuery{
		Purpose: string(args.Peek("purpose")), After: string(args.Peek("after")), Limit: longestFileList,
	}
	if text := string(args.Peek("limit")); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > longestFileList {
			return protocol.ErrInvalid("limit", "invalid_value",
				"Invalid 'limit': expected an integer from 1 to %d.", longestFileList)
		}
		q.Limit = n
	}
	switch order := string(args.Peek("order")); order {
	case "", "desc":
	case "asc":
		q.Ascending = true
	default:
		return protocol.ErrInvalid("order", "invalid_value", "Invalid value for 'order'. Supported values are: 'asc' and 'desc'.")
	}
	if err := checkAfter(q.After, jobs.FilePrefix); err != nil {
		return err
	}
	ctx, cancel := s.within(queueWait)
	defer cancel()
	files, more, err := s.queue.ListFiles(ctx, c.key.Tenant, q)
	if err != nil {
		return fileError(err)
	}
	list := make([]protocol.File, len(files))
	for i, f := range files {
		list[i] = wireFile(f)
	}
	return sendJSON(fc, protocol.AppendFileList(nil, list, more))
}

// getFile answers GET /v1/files/{id}.
func (s *Server) getFile(fc *fiber.Ctx, c *call) error {
	f, err := s.fileOf(fc, c)
	if err != nil {
		return err
	}
	return sendJSON(fc, protocol.AppendFile(nil, wireFile(f)))
}

// deleteFile answers DELETE /v1/files/{id}.
func (s *Server) deleteFile(fc *fiber.Ctx, c *call) error {
	f, err := s.fileOf(fc, c)
	if err != nil {
		return err
	}
	ctx, cancel := s.within(queueWait)
	defer cancel()
	err = s.queue.DeleteFile(ctx, f.Tenant, f.ID)
	if errors.Is(err, jobs.ErrNoFile) {
		return protocol.ErrFileNotFound(c.param)
	}
	if err != nil {
		return fileError(err)
	}
	return sendJSON(fc, protocol.AppendFileDeleted(nil, f.ID))
}

// fileOf finds the file that the path names, among the caller's.
func (s *Server) fileOf(fc *fiber.Ctx, c *call) (jobs.File, error) {
	if err := s.identify(fc, c); err != nil {
		return jobs.File{}, err
	}
	ctx, cancel := s.within(queueWait)
	defer cancel()
	f, err := s.queue.File(ctx, c.key.Tenant, c.param)
	if errors.Is(err, jobs.ErrNoFile) {
		return f, protocol.ErrFileNotFound(c.param)
	}
	return f, fileError(err)
}

func wireFile(f jobs.File) protocol.File {
	w := protocol.File{
		ID: f.ID, Bytes: f.Bytes, CreatedAt: f.Created.Unix(), Filename: f.Filename, Purpose: f.Purpose,
	}
	if !f.Expires.IsZero() {
		w.ExpiresAt = f.Expires.Unix()
	}
	return w
}

// sweepEvery is the pause between two looks for what uploads and expired files left.
const sweepEvery = time.Hour

// sweepFiles looks at once, and then from time to time. Frontends that were started
// together soon do it apart.
func (s *Server) sweepFiles() {
	for {
		swept, err := s.queue.SweepFiles(s.root)
		switch {
		case s.root.Err() != nil:
			return
		case err != nil:
			s.log.Warn("unfinished files not swept", "error", err)
		case swept > 0:
			s.log.Info("unfinished files swept", "files", swept)
		}
		select {
		case <-s.done:
			return
		case <-s.root.Done():
			return
		case <-time.After(sweepEvery/2 + rand.N(sweepEvery)):
		}
	}
}
