package anthropic

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

var errNotJSON = errors.New("not the JSON that was expected")

// walker reads JSON objects and arrays element by element, in spans of the data it
// was given: nothing is copied or decoded. Strings are spans with their quotes.
// It is used by one goroutine, and an object is read to its end before the next.
type walker struct {
	buf  bytes.Buffer
	dec  *jsontext.Decoder
	opts []jsontext.Options
}

func newWalker() *walker {
	w := &walker{opts: []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}}
	w.dec = jsontext.NewDecoder(&w.buf, w.opts...)
	return w
}

// members calls f with each member of object. name has its quotes.
func (w *walker) members(object []byte, f func(name, value []byte)) error {
	if !w.open(object, '{') {
		return errNotJSON
	}
	for w.dec.PeekKind() != '}' {
		name, err := w.span(object)
		if err != nil {
			return err
		}
		value, err := w.span(object)
		if err != nil {
			return err
		}
		f(name, value)
	}
	return w.close(object)
}

// elements calls f with each element of array.
func (w *walker) elements(array []byte, f func(value []byte)) error {
	if !w.open(array, '[') {
		return errNotJSON
	}
	for w.dec.PeekKind() != ']' {
		value, err := w.span(array)
		if err != nil {
			return err
		}
		f(value)
	}
	return w.close(array)
}

func (w *walker) open(data []byte, kind jsontext.Kind) bool {
	w.buf = *bytes.NewBuffer(data)
	w.dec.Reset(&w.buf, w.opts...)
	t, err := w.dec.ReadToken()
	return err == nil && t.Kind() == kind
}

// span returns the next value as a part of data.
func (w *walker) span(data []byte) ([]byte, error) {
	v, err := w.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	end := w.dec.InputOffset()
	return data[end-int64(len(v)) : end : end], nil
}

func (w *walker) close(data []byte) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	if len(bytes.TrimSpace(data[w.dec.InputOffset():])) > 0 {
		return errNotJSON
	}
	return nil
}

// text returns what a JSON string says; "" for any other value.
func text(raw []byte) string {
	if !isText(raw) {
		return ""
	}
	b, _ := jsontext.AppendUnquote(nil, raw) // its error is about what it replaced
	return string(b)
}

// isText reports whether a span is a JSON string of at least one byte.
func isText(raw []byte) bool { return len(raw) > 2 && raw[0] == '"' }

// member returns a member of a JSON object, the last of that name.
func member(object jsontext.Value, name string) (jsontext.Value, bool) {
	var found jsontext.Value
	err := newWalker().members(object, func(n, v []byte) {
		if text(n) == name {
			found = v
		}
	})
	return found, err == nil && found != nil
}
