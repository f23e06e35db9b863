package protocol

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// DecodeRequest reads a request that ParseRequest accepted before, such as one
// that comes out of the queue, without validating it again. body is retained. An
// error, always an *Error, means that body is no such request.
func DecodeRequest(body []byte) (*Request, error) {
	r := &Request{N: 1, Body: body}
	d := requestDecoder{Request: r}
	s := scanObject{text: body}
	var m scanMember
	for {
		err := s.next(&m)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, ErrBadJSON().Wrap(err)
		}
		if value := s.value(&m); !isNull(value) && !d.member(plainName(m.name), value) {
			return nil, ErrBadJSON().Wrap(fmt.Errorf("decode request: member at byte %d", m.start))
		}
	}
	if r.Model == "" {
		return nil, errNoModel()
	}
	r.MaxTokens = d.maxTokens
	if d.maxCompletionTokens != nil {
		r.MaxTokens = *d.maxCompletionTokens
	}
	r.Store = r.Store || r.Background && !d.storeSaid
	return r, nil
}

// requestDecoder fills a Request from the members of its body.
type requestDecoder struct {
	*Request
	maxTokens           int
	maxCompletionTokens *int // nil: absent, so that max_tokens counts
	storeSaid           bool // store is there and not null
}

// member takes one member that is not null and reports whether it is well-formed.
func (d *requestDecoder) member(name, value []byte) (ok bool) {
	switch string(name) {
	case "model":
		d.Model, ok = unquote(value)
	case "stream":
		d.Stream, ok = decodeBool(value)
	case "stream_options":
		if usage := findMember(value, "include_usage"); usage != nil && !isNull(usage) {
			d.IncludeUsage, ok = decodeBool(usage)
			return ok
		}
		return value[0] == '{'
	case "service_tier":
		d.ServiceTier, ok = unquote(value)
	case "n":
		d.N, ok = decodeInt(value)
	case "max_tokens":
		d.maxTokens, ok = decodeInt(value)
	case "max_completion_tokens":
		var n int
		n, ok = decodeInt(value)
		d.maxCompletionTokens = &n
	case "store":
		d.Store, ok = decodeBool(value)
		d.storeSaid = true
	case "background":
		d.Background, ok = decodeBool(value)
	case "metadata":
		d.Metadata, ok = decodeStrings(value)
	default:
		ok = true
	}
	return ok
}

// decodeStrings reads an object of strings.
func decodeStrings(object []byte) (map[string]string, bool) {
	out := make(map[string]string)
	s := scanObject{text: object}
	var m scanMember
	for {
		err := s.next(&m)
		if err != nil {
			return out, err == io.EOF
		}
		name, nameOK := unquote(m.name)
		value, valueOK := unquote(s.value(&m))
		if !nameOK || !valueOK {
			return nil, false
		}
		out[name] = value
	}
}

func isNull(value []byte) bool { return string(value) == "null" }

func decodeBool(value []byte) (b, ok bool) {
	b = string(value) == "true"
	return b, b || string(value) == "false"
}

func decodeInt(value []byte) (int, bool) {
	n, ok := integerValue(value)
	return int(max(math.MinInt, min(n, math.MaxInt))), ok
}

// integerValue returns the value of a JSON number that is an integer, however it
// is written (1, 1.0, 1e2), and fits 64 bits.
func integerValue(number []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return n, err == nil
	}
	f, err := strconv.ParseFloat(string(number), 64)
	// -2^63 is a float64 and an int64; 2^63 is only the former.
	if err != nil || f != math.Trunc(f) || f < math.MinInt64 || f >= -math.MinInt64 {
		return 0, false
	}
	return int64(f), true
}
