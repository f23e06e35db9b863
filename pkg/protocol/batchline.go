package protocol

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// BatchLine is one request of a batch's input.
type BatchLine struct {
	Number   int    // of the line, from 1; blank lines count
	Offset   int64  // of the line in the file
	Length   int    // bytes, the line break not among them
	CustomID []byte // JSON string, as it stands in the file
	Model    string // "" if body's is no string
	Store    bool   // its answer is to be kept as a completion
	Body     []byte // JSON object, not validated as a request
}

// ParseBatchLine reads one line of a batch's input, whose requests go to endpoint.
// A line that fails its batch has a fault, the first one in the order of the
// documentation; what else may be wrong with the request in it is its own affair,
// and its answer's. The line's parts point into text.
func ParseBatchLine(text []byte, endpoint string) (BatchLine, *BatchFault) {
	members, ok := splitBatchLine(text)
	if !ok {
		return BatchLine{}, &BatchFault{Code: "invalid_json_line", Message: "This line is not parseable as valid JSON."}
	}
	for i, name := range batchMembers {
		if members[i] == nil || isNull(members[i]) {
			return BatchLine{}, &BatchFault{
				Code: "missing_required_parameter", Param: name,
				Message: "Missing required parameter: '" + name + "'.",
			}
		}
	}
	l := BatchLine{CustomID: members[0], Body: members[3]}
	if fault := checkBatchMembers(members, endpoint); fault != nil {
		return l, fault
	}
	return l, l.readBody()
}

// batchMembers are the members of a line, in the order in which they are missed.
var batchMembers = [...]string{"custom_id", "method", "url", "body"}

// splitBatchLine returns the values of batchMembers, nil for those that are absent.
// ok is false for a text that is not one JSON object, or says one of them twice.
func splitBatchLine(text []byte) (members [len(batchMembers)][]byte, ok bool) {
	if !utf8.Valid(text) {
		return members, false
	}
	s := spanScanner{data: text}
	s.enter('{')
	for first := true; ; first = false {
		name, more := s.member(first)
		if !more {
			break
		}
		value := s.value()
		for i := range batchMembers {
			if string(name) != batchMembers[i] {
				continue
			}
			if members[i] != nil {
				return members, false
			}
			members[i] = value
		}
	}
	return members, s.end()
}

func checkBatchMembers(members [len(batchMembers)][]byte, endpoint string) *BatchFault {
	id, method, url, body := members[0], members[1], members[2], members[3]
	switch {
	case id[0] != '"':
		return batchTypeFault("custom_id", text(), id)
	case !saysText(method, "POST"):
		return &BatchFault{Code: "invalid_method", Param: "method", Message: "The method of a request in a batch must be 'POST'."}
	case !saysText(url, endpoint):
		return &BatchFault{
			Code: "invalid_url", Param: "url",
			Message: "The URL provided for this request does not match the batch endpoint.",
		}
	case body[0] != '{':
		return batchTypeFault("body", anyObject(), body)
	}
	return nil
}

// readBody reads what the batch must know of the request.
func (l *BatchLine) readBody() *BatchFault {
	model, messages, stream, store := l.bodyMembers()
	switch {
	case len(model) == 0, isNull(model), string(model) == `""`:
		return &BatchFault{Code: "invalid_request", Param: "body.model", Message: "Model parameter is required."}
	case len(messages) == 0, isNull(messages):
		return &BatchFault{Code: "invalid_request", Param: "body.messages", Message: "Messages parameter is required."}
	case string(stream) == "true":
		return &BatchFault{
			Code: "streaming_unsupported", Param: "body.stream",
			Message: "Chat Completions: Streaming is not supported in the Batch API.",
		}
	}
	l.Model, _ = unquote(model)
	l.Store = string(store) == "true"
	return nil
}

// bodyMembers finds members of the body, which is known to be an object.
func (l *BatchLine) bodyMembers() (model, messages, stream, store []byte) {
	s := scanObject{text: l.Body}
	var m scanMember
	for s.next(&m) == nil {
		switch string(plainName(m.name)) {
		case "model":
			model = s.value(&m)
		case "messages":
			messages = s.value(&m)
		case "stream":
			stream = s.value(&m)
		case "store":
			store = s.value(&m)
		}
	}
	return model, messages, stream, store
}

// ParseBatchBody validates the request of a line as ParseRequest does, and for what a
// batch cannot do. The error, always an *Error, is the answer of that line.
func ParseBatchBody(body []byte) (*Request, error) {
	r, err := ParseRequest(body)
	if err != nil {
		return nil, err
	}
	if r.Background {
		return nil, errNotInBatch("background", "Requests of a batch run in the background as they are.")
	}
	return r, nil
}

func saysText(raw []byte, want string) bool { return raw[0] == '"' && nameIs(raw, want) }

func batchTypeFault(path string, want *schema, got []byte) *BatchFault {
	e := faultType(path, want, jsontext.Value(got).Kind(), got)
	return &BatchFault{Code: e.Code, Param: e.Param, Message: e.Message}
}

// lineReader cuts an input into lines and holds at most one of them.
type lineReader struct {
	r      *bufio.Reader
	most   int    // bytes of a line
	long   []byte // a line that did not fit into r's buffer
	number int
	offset int64 // of the next line
}

// rawLine is a line without its break.
type rawLine struct {
	number int
	offset int64
	text   []byte // valid until the next one is read
	cut    bool   // the line is longer than the reader takes; text is its beginning
}

const (
	lineBuffer = 256 << 10
	keepLong   = 1 << 20 // a larger buffer is not kept for the next line
)

func newLineReader(r io.Reader, most int) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, lineBuffer), most: most}
}

var byteOrderMark = []byte("\uFEFF")

// next returns the next line that is not blank. A byte order mark before the first
// line is passed over.
func (l *lineReader) next() (rawLine, error) {
	for {
		line, err := l.read()
		if err != nil {
			return rawLine{}, err
		}
		if line.cut || !isBlankText(line.text) {
			return line, nil
		}
	}
}

// read returns the next line, whatever is in it. White space is not kept beyond what
// a line may have, however much there is of it.
func (l *lineReader) read() (rawLine, error) {
	if cap(l.long) > keepLong {
		l.long = nil
	}
	l.long = l.long[:0]
	line := rawLine{number: l.number + 1, offset: l.offset}
	blank, over := true, false // so far; the line is longer than may be
	for {
		part, err := l.r.ReadSlice('\n')
		first := l.offset == line.offset
		l.offset += int64(len(part))
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return rawLine{}, err
		}
		last := err == nil || errors.Is(err, io.EOF)
		if last && l.offset == line.offset {
			return rawLine{}, io.EOF
		}
		if err == nil {
			part = part[:len(part)-1]
		}
		if first && line.number == 1 && bytes.HasPrefix(part, byteOrderMark) {
			part = part[len(byteOrderMark):]
			line.offset += int64(len(byteOrderMark))
		}
		blank = blank && isBlankText(part)
		over = over || len(l.long)+len(part) > l.most
		switch {
		case line.cut:
		case over && blank:
			l.long = l.long[:0]
		case over:
			line.cut = true
			l.long = append(l.long, part[:min(len(part), 64)]...) // enough to see what it begins with
		case last && len(l.long) == 0:
			line.text = part
		default:
			l.long = append(l.long, part...)
		}
		if last {
			break
		}
	}
	l.number++
	if line.text == nil {
		line.text = l.long
	}
	line.text = bytes.TrimSuffix(line.text, []byte("\r"))
	return line, nil
}

func isBlankText(text []byte) bool { return len(bytes.TrimLeft(text, " \t\r\v\f")) == 0 }
