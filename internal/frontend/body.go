package frontend

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/protocol"
)

// requestBody returns the request's body, inflated, within the room reserved for it.
// It is valid until dropBody.
func (c *call) requestBody(fc *fiber.Ctx) ([]byte, error) {
	raw := fc.BodyRaw()
	if int64(len(raw)) < c.body { // its length was not announced
		c.resize(int64(len(raw)))
	}
	encoding := strings.ToLower(strings.TrimSpace(string(fc.Request().Header.ContentEncoding())))
	if encoding == "" || encoding == "identity" {
		return raw, nil
	}
	limit := c.srv.bodies.some(c.cfg.MaxBody, c.cfg.MaxBodies)
	c.body += limit
	body, err := inflate(raw, encoding, limit)
	if err != nil {
		if limit < c.cfg.MaxBody && protocol.AsError(err).Status == http.StatusRequestEntityTooLarge {
			return nil, errNoRoom()
		}
		return nil, err
	}
	c.dropBody(fc)
	if len(body) > smallBody {
		c.resize(int64(len(body)))
	}
	return body, nil
}

// inflate undoes a Content-Encoding. The result, and what it takes to make it, stays
// within limit.
func inflate(body []byte, encoding string, limit int64) ([]byte, error) {
	var r io.Reader
	var err error
	switch encoding {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		// Meant is zlib; some senders leave its header away.
		if r, err = zlib.NewReader(bytes.NewReader(body)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(body)), nil
		}
	default:
		return nil, protocol.ErrUnsupportedEncoding(encoding)
	}
	if err != nil {
		return nil, errCorrupt(encoding).Wrap(err)
	}
	out, err := readUpTo(r, limit)
	if err != nil {
		return nil, errCorrupt(encoding).Wrap(err)
	}
	if int64(len(out)) > limit {
		return nil, protocol.ErrBodyTooLarge(limit)
	}
	return out, nil
}

func errCorrupt(encoding string) *protocol.Error {
	return protocol.ErrInvalid("", "", "The body could not be decompressed as %s, which its Content-Encoding says it is.", encoding)
}

// readUpTo reads r to its end or one byte beyond limit. The buffer grows with what
// arrives and never beyond that byte.
func readUpTo(r io.Reader, limit int64) ([]byte, error) {
	buf := make([]byte, 0, min(limit+1, 32<<10))
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == io.EOF || err == nil && int64(len(buf)) > limit:
			return buf, nil
		case err != nil:
			return nil, err
		}
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(limit+1, 4*int64(cap(buf))))
			copy(grown, buf)
			buf = grown
		}
	}
}
