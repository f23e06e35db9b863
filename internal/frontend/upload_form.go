package frontend

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

const (
	// formMargin is what an upload may have besides the file: fields, headers, an
	// epilogue.
	formMargin = 256 << 10
	// uploadMemory is what an upload takes while it runs: a few parts of the file and
	// the beginning of its first line.
	uploadMemory = 4 << 20
	// longestField bounds the value of a plain field.
	longestField = 4 << 10
)

// refusesUpload says, from its header alone, why an upload cannot be taken.
func (s *Server) refusesUpload(h *fasthttp.RequestHeader, length int64) error {
	cfg := s.cfg.Load()
	if _, err := s.authenticate(h, cfg); err != nil {
		return err
	}
	if boundaryOf(h) == "" {
		return protocol.ErrInvalid("", "", "Invalid content type: expected multipart/form-data with a boundary.")
	}
	if length > cfg.MaxFile+formMargin {
		return protocol.ErrFileTooLarge(cfg.MaxFile)
	}
	return nil
}

// boundaryOf returns what separates the parts of a form, "" if there is no valid
// one (RFC 2046, section 5.1.1).
func boundaryOf(h *fasthttp.RequestHeader) string {
	const longest = 70
	kind, params, err := mime.ParseMediaType(string(h.ContentType()))
	if boundary := params["boundary"]; err == nil && kind == "multipart/form-data" && len(boundary) <= longest {
		return boundary
	}
	return ""
}

// uploadReader reads an upload: its fields, and its file into the store.
type uploadReader struct {
	srv    *Server
	c      *call
	form   protocol.FileForm
	first  protocol.FirstLine
	meter  meter
	parts  *multipart.Reader
	writer *jobs.FileWriter // nil until the file's part begins

	ctx    context.Context // of the writer
	cancel context.CancelCauseFunc
}

// meter fails a reader that takes more than it may.
type meter struct {
	in   io.Reader
	left int64
	over bool
}

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		m.over = true
		return 0, errors.New("more than may come")
	}
	n, err := m.in.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	return n, err
}

var errStoreStalled = errors.New("a part of the file was not stored in time")

func (s *Server) newUploadReader(c *call, body io.Reader, boundary string) *uploadReader {
	u := &uploadReader{srv: s, c: c, meter: meter{in: body, left: formMargin}}
	u.parts = multipart.NewReader(&u.meter, boundary)
	u.ctx, u.cancel = context.WithCancelCause(s.root)
	return u
}

// close removes what was stored, unless it was committed.
func (u *uploadReader) close() {
	if u.writer != nil {
		u.writer.Abort()
	}
	u.cancel(nil)
}

// read takes in the whole form. The error is a *protocol.Error, or of the body.
func (u *uploadReader) read() error {
	for {
		part, err := u.parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if part.FormName() == "file" && part.FileName() != "" {
			err = u.readFile(part)
		} else {
			err = u.readField(part)
		}
		if err != nil {
			return err
		}
	}
	if err := u.form.Check(); err != nil {
		return err
	}
	return u.checkContent()
}

func (u *uploadReader) readField(part *multipart.Part) error {
	value, err := readUpTo(part, longestField)
	if err != nil {
		return err
	}
	if len(value) > longestField {
		value = value[:longestField] // no field has a valid value of that length
	}
	return u.form.Set(part.FormName(), string(value))
}

// readFile stores the content as it arrives.
func (u *uploadReader) readFile(part *multipart.Part) error {
	if err := u.form.SetFile(part.FileName()); err != nil {
		return err
	}
	u.writer = u.srv.queue.NewFile(u.ctx, jobs.File{
		ID: jobs.FileID(u.c.id), Tenant: u.c.key.Tenant, Key: u.c.key.ID, Created: u.c.began,
	})
	limit := u.sizeLimit()
	u.meter.left += limit
	buf := make([]byte, 32<<10)
	for {
		n, err := part.Read(buf)
		if u.writer.Size()+int64(n) > limit {
			return protocol.ErrFileTooLarge(limit)
		}
		_, _ = u.first.Write(buf[:n]) // never fails
		if err := u.store(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			u.meter.left = min(u.meter.left, formMargin)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sizeLimit is how large the file may be, as far as its purpose is known.
func (u *uploadReader) sizeLimit() int64 {
	if u.form.Purpose() == protocol.PurposeBatch {
		return min(u.c.cfg.MaxFile, protocol.BatchFileLimit)
	}
	return u.c.cfg.MaxFile
}

// store writes to the store, for a limited time. The sender is not blamed for it.
func (u *uploadReader) store(p []byte) error {
	began := time.Now()
	late := time.AfterFunc(u.c.cfg.StoreWait, func() { u.cancel(errStoreStalled) })
	_, err := u.writer.Write(p)
	late.Stop()
	if time.Since(began) > time.Second && u.c.conn != nil {
		u.c.conn.renew()
	}
	return fileError(err)
}

// checkContent refuses a file for what is in it, once it is there and its purpose
// is known.
func (u *uploadReader) checkContent() error {
	size := u.writer.Size()
	switch batch := u.form.Purpose() == protocol.PurposeBatch; {
	case batch && (size == 0 || !u.first.OK()):
		return protocol.ErrFileFormat()
	case size == 0:
		return protocol.ErrInvalid("file", "empty_file", "The file is empty.")
	case size > u.sizeLimit():
		return protocol.ErrFileTooLarge(u.sizeLimit())
	}
	return nil
}

// hash is the same for every form that says the same.
func (u *uploadReader) hash() [sha256.Size]byte {
	content := u.writer.Sum()
	return sha256.Sum256(append(u.form.AppendCanonical(nil), content[:]...))
}

// commit makes the file visible under id, or returns the one that is.
func (u *uploadReader) commit(id string) (jobs.File, error) {
	f := jobs.File{
		ID: id, Tenant: u.c.key.Tenant, Key: u.c.key.ID,
		Filename: u.form.Filename(), Purpose: u.form.Purpose(), Created: u.c.began.Truncate(time.Second),
	}
	if age := u.form.Age(); age > 0 {
		f.Expires = f.Created.Add(age)
	}
	u.writer.Describe(f)
	late := time.AfterFunc(u.c.cfg.StoreWait, func() { u.cancel(errStoreStalled) })
	defer late.Stop()
	f, err := u.writer.Commit(u.ctx)
	return f, fileError(err)
}

// fileError says to the client what became of the store.
func fileError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jobs.ErrNoRoom):
		return protocol.ErrNoStorage().Wrap(err)
	case errors.Is(err, errStoreStalled), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return protocol.ErrUnavailable("The file store cannot be reached right now. Please try again later.", 2*time.Second).Wrap(err)
	}
	return queueError(err)
}

// inflating undoes the Content-Encoding of a body as it is read.
func inflating(body io.Reader, encoding string) (io.Reader, error) {
	switch encoding = strings.ToLower(strings.TrimSpace(encoding)); encoding {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(body)
		if err != nil {
			return nil, errCorrupt(encoding).Wrap(err)
		}
		return r, nil
	}
	return nil, protocol.ErrUnsupportedEncoding(encoding)
}

// corrupt reports faults of compressed data.
func corrupt(err error) bool {
	_, broken := errors.AsType[flate.CorruptInputError](err)
	return broken || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum)
}
