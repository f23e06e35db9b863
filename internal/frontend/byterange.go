package frontend

import (
	"errors"
	"strconv"
	"strings"
)

// byteRange is a part of a file.
type byteRange struct{ start, length int64 }

// contentRange is the value of Content-Range for a part of size bytes.
func (r byteRange) contentRange(size int64) string {
	return "bytes " + strconv.FormatInt(r.start, 10) + "-" + strconv.FormatInt(r.start+r.length-1, 10) + "/" + strconv.FormatInt(size, 10)
}

// maxRanges is how many ranges one request gets. One that asks for more gets the
// whole.
const maxRanges = 16

var errNoRange = errors.New("no range of the file")

// parseRanges reads a Range header (RFC 9110, section 14.2) for size bytes. No
// ranges mean the whole: also where the header is not understood, as it must be
// ignored then, or where its ranges are together more than the whole. The error is
// errNoRange when none of them is inside.
func parseRanges(header string, size int64) ([]byteRange, error) {
	unit, set, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return nil, nil
	}
	var ranges []byteRange
	total, asked := int64(0), 0
	for spec := range strings.SplitSeq(set, ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		asked++
		r, inside, ok := parseRange(spec, size)
		if !ok {
			return nil, nil
		}
		if inside {
			ranges = append(ranges, r)
			total += r.length
		}
	}
	switch {
	case asked == 0 || asked > maxRanges || total > size:
		return nil, nil
	case len(ranges) == 0:
		return nil, errNoRange
	}
	return ranges, nil
}

// parseRange reads "from-to", "from-" or "-last".
func parseRange(spec string, size int64) (r byteRange, inside, ok bool) {
	from, to, ok := strings.Cut(spec, "-")
	if !ok {
		return r, false, false
	}
	if from == "" {
		last, ok := parseOffset(to)
		last = min(last, size)
		return byteRange{size - last, last}, last > 0, ok
	}
	start, ok := parseOffset(from)
	if !ok {
		return r, false, false
	}
	end := size - 1
	if to != "" {
		if end, ok = parseOffset(to); !ok || end < start {
			return r, false, false
		}
		end = min(end, size-1)
	}
	return byteRange{start, end - start + 1}, start < size, true
}

// parseOffset reads digits. What is too large for a number is beyond any file.
func parseOffset(s string) (n int64, ok bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = 1<<62 - 1
	}
	return n, true
}
