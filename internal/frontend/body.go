package frontend

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"

	"github.com/osiris/osiris/pkg/protocol"
)

// inflate undoes a request's Content-Encoding, or returns body itself if there is
// none. The result, and what it takes to make it, stays within limit.
func inflate(body []byte, encoding string, limit int64) ([]byte, error) {
	encoding = strings.ToLower(strings.TrimSpace(encoding))
	var r io.Reader
	var err error
	switch encoding {
	case "", "identity":
		return body, nil
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
