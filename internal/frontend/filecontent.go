package frontend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// downloadMemory is what the parts of a file take that are read ahead of a client.
const downloadMemory = 2 << 20

// getContent answers GET and HEAD of /v1/files/{id}/content.
func (s *Server) getContent(fc *fiber.Ctx, c *call) error {
	f, err := s.fileOf(fc, c)
	if err != nil {
		return err
	}
	h := &fc.Response().Header
	tag := `"` + f.SHA256 + `"`
	h.Set("ETag", tag)
	h.Set("Last-Modified", f.Created.UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	if ifNoneMatch(fc.Get("If-None-Match"), tag) {
		fc.Status(http.StatusNotModified)
		return nil
	}
	ranges, err := rangesOf(fc, f, tag)
	if err != nil {
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(f.Bytes, 10))
		return errRange()
	}
	if need := min(f.Bytes, downloadMemory); s.bodies.all(need, c.cfg.MaxBodies) {
		c.body += need
	} else {
		return errNoRoom()
	}
	h.Set("Content-Disposition", disposition(f.Filename))
	b := newFileBody(s, c, f)
	switch len(ranges) {
	case 0:
		h.SetContentType(fiber.MIMEOctetStream)
		b.add(nil, byteRange{0, f.Bytes})
	case 1:
		h.SetContentType(fiber.MIMEOctetStream)
		h.Set("Content-Range", ranges[0].contentRange(f.Bytes))
		b.add(nil, ranges[0])
	default:
		h.SetContentType("multipart/byteranges; boundary=" + c.id.String())
		b.addAll(ranges, c.id.String())
	}
	if len(ranges) > 0 {
		fc.Status(http.StatusPartialContent)
	}
	c.status = fc.Response().StatusCode()
	c.setHeaders(fc)
	fc.Context().SetBodyStream(b, int(b.size))
	return errUnfinished
}

// errRange refuses a range beyond the file.
func errRange() *protocol.Error {
	return &protocol.Error{
		Status: http.StatusRequestedRangeNotSatisfiable, Type: protocol.TypeInvalidRequest, NoRetry: true,
		Message: "The file has none of the bytes that the Range header asks for.",
	}
}

// rangesOf reads the ranges that a request asks for, none for the whole. A
// condition that is not met makes it the whole too.
func rangesOf(fc *fiber.Ctx, f jobs.File, tag string) ([]byteRange, error) {
	header := fc.Get("Range")
	if header == "" {
		return nil, nil
	}
	if condition := fc.Get("If-Range"); condition != "" && condition != tag {
		at, err := http.ParseTime(condition)
		if met := err == nil && at.Equal(f.Created); !met {
			return nil, nil
		}
	}
	return parseRanges(header, f.Bytes)
}

// ifNoneMatch reports whether one of the tags in header is the file's.
func ifNoneMatch(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" {
			return true
		}
	}
	return false
}

// disposition names the download, in ASCII for old clients and exactly for the
// others (RFC 6266).
func disposition(filename string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' || r == '%' {
			return '_'
		}
		return r
	}, filename)
	value := `attachment; filename="` + plain + `"`
	if plain != filename {
		value += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(filename), "+", "%20")
	}
	return value
}

// fileBody is an answer made of a file, or of parts of it. The server writes it
// from the connection's goroutine: a slow client is read for slowly.
type fileBody struct {
	call   *call
	file   *jobs.FileReader
	cancel context.CancelCauseFunc
	pieces []piece
	size   int64
	end    bool
}

// piece is text, and then a part of the file.
type piece struct {
	before []byte
	byteRange
}

func newFileBody(s *Server, c *call, f jobs.File) *fileBody {
	ctx, cancel := context.WithCancelCause(s.root)
	return &fileBody{call: c, file: s.queue.OpenFile(ctx, f), cancel: cancel}
}

func (b *fileBody) add(before []byte, r byteRange) {
	b.pieces = append(b.pieces, piece{before, r})
	b.size += int64(len(before)) + r.length
}

// addAll adds ranges in the form of multipart/byteranges.
func (b *fileBody) addAll(ranges []byteRange, boundary string) {
	size := b.file.Size()
	for i, r := range ranges {
		head := "\r\n"
		if i == 0 {
			head = ""
		}
		head += "--" + boundary + "\r\nContent-Type: application/octet-stream\r\nContent-Range: " + r.contentRange(size) + "\r\n\r\n"
		b.add([]byte(head), r)
	}
	b.add([]byte("\r\n--"+boundary+"--\r\n"), byteRange{})
}

// WriteTo implements io.WriterTo, which spares a copy of everything.
func (b *fileBody) WriteTo(w io.Writer) (int64, error) {
	written := int64(0)
	for _, p := range b.pieces {
		n, err := w.Write(p.before)
		written += int64(n)
		if err != nil {
			return written, err
		}
		m, err := b.writeRange(w, p.byteRange)
		written += m
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// writeRange writes a part of the file. What cannot be read in time cuts the answer,
// which is then shorter than its header said.
func (b *fileBody) writeRange(w io.Writer, r byteRange) (int64, error) {
	if r.length == 0 {
		return 0, nil
	}
	if _, err := b.file.Seek(r.start, io.SeekStart); err != nil {
		return 0, errors.Join(errBroken, err)
	}
	written := int64(0)
	for written < r.length {
		late := time.AfterFunc(b.call.cfg.StoreWait, func() { b.cancel(errStoreStalled) })
		data, err := b.file.Next(r.length - written)
		late.Stop()
		if err != nil {
			return written, errors.Join(errBroken, fmt.Errorf("at %d of %d bytes: %w", r.start+written, b.file.Size(), err))
		}
		n, err := w.Write(data)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Read implements io.Reader, which the server wants of a body and does not call.
func (b *fileBody) Read([]byte) (int, error) { return 0, errBroken }

// CloseWithError ends the call. The server calls it after the last write, with the
// error that ended the answer, if any.
func (b *fileBody) CloseWithError(err error) error {
	if b.end {
		return nil
	}
	b.end = true
	b.cancel(nil)
	closed := b.file.Close()
	switch {
	case errors.Is(err, errBroken):
		b.call.status, b.call.err = http.StatusInternalServerError, err
	case err != nil:
		b.call.status, b.call.err = statusGone, err
	}
	b.call.end()
	return closed
}
