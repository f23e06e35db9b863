package protocol

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// firstLineLimit is how much of a file's first line is looked at.
const firstLineLimit = 256 << 10

// FirstLine looks at the first line of a JSONL file as it is written, so that a file
// that is something else is noticed at once. A byte order mark and lines of white
// space before it are skipped. Of a longer line, only the beginning counts. The zero
// value is ready.
type FirstLine struct {
	buf  []byte
	over bool // the line is complete, or long enough
}

// Write implements io.Writer. It never fails.
func (l *FirstLine) Write(p []byte) (int, error) {
	n := len(p)
	for !l.over && len(p) > 0 {
		line := p
		end := bytes.IndexByte(p, '\n')
		if end >= 0 {
			line = p[:end]
		}
		p = p[len(line):]
		l.buf = append(l.buf, line[:min(len(line), firstLineLimit-len(l.buf))]...)
		if len(l.buf) == firstLineLimit {
			l.over = true
			return n, nil
		}
		if end < 0 {
			return n, nil
		}
		p = p[1:]
		if l.over = !l.blank(); !l.over {
			l.buf = l.buf[:0]
		}
	}
	return n, nil
}

// blank reports whether what is there of the line is white space.
func (l *FirstLine) blank() bool {
	return len(bytes.TrimSpace(bytes.TrimPrefix(l.buf, []byte("\xef\xbb\xbf")))) == 0
}

// OK reports whether the line is JSON, as far as it is known; also if there is no
// line but blank ones.
func (l *FirstLine) OK() bool {
	if l.blank() {
		return true
	}
	line := bytes.TrimPrefix(l.buf, []byte("\xef\xbb\xbf"))
	d := jsontext.NewDecoder(bytes.NewReader(line), jsontext.AllowDuplicateNames(true))
	err := d.SkipValue()
	if err == nil {
		_, err = d.ReadToken()
		return errors.Is(err, io.EOF) // nothing after the value
	}
	return len(l.buf) == firstLineLimit && errors.Is(err, io.ErrUnexpectedEOF)
}
