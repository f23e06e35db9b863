package protocol

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// validator checks a body against a schema in one pass over its tokens.
// The strictness about JSON itself (UTF-8, duplicate names, what follows the
// value) is jsontext's. A fault does not end the pass, since malformed JSON
// further on goes first; no path is kept, as the decoder knows it when asked.
type validator struct {
	root   *schema
	body   []byte
	dec    *jsontext.Decoder
	area   area
	faults [areas]*Error // the first fault of each area
	abort  *Error        // ended the pass
	wide   int           // members beyond the first narrow of their object
}

// area is a part of the request; the faults of a lower one are reported first.
type area uint8

const (
	inModel area = iota
	inMessages
	inRest
	areas
)

// validate returns what is wrong with body, the request of a chat completion, or
// nil.
func validate(body []byte) *Error {
	v := validator{root: requestSchema, body: body}
	if !sound(body, requestSchema) {
		if err := v.run(); err != nil {
			return err
		}
	}
	if v.faults[inModel] == nil {
		if model := findMember(body, "model"); len(model) == 0 || isNull(model) || string(model) == `""` {
			return errNoModel()
		}
	}
	return v.first()
}

// validateAs returns what is wrong with body, which should be what root says, or
// nil. Members that are missing go before those that are wrong.
func validateAs(body []byte, root *schema) *Error {
	if sound(body, root) {
		return nil
	}
	v := validator{root: root, body: body}
	if err := v.run(); err != nil {
		return err
	}
	return v.first()
}

// run makes the pass. Its error is what ended it.
func (v *validator) run() *Error {
	err := json.Unmarshal(v.body, v)
	switch {
	case v.abort != nil:
		return v.abort
	case err != nil:
		return ErrBadJSON().Wrap(syntaxCause(err))
	}
	return nil
}

// first returns the fault that is reported.
func (v *validator) first() *Error {
	for _, fault := range v.faults {
		if fault != nil {
			return fault
		}
	}
	return nil
}

// syntaxCause says where the JSON is broken without quoting it.
func syntaxCause(err error) error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("at byte %d: %w", e.ByteOffset, e.Err)
	}
	return err
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom; by this way the decoder
// comes from the library's pool and reads the body where it lies.
func (v *validator) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v.dec, v.area = dec, inRest
	if kind := dec.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		raw := v.body[scanBlank(v.body, 0):]
		if err := v.skip(); err != nil {
			return v.broken(err)
		}
		v.faults[inModel] = faultNotObject(kind, raw)
		return nil
	}
	return v.broken(v.object(v.root))
}

// broken turns an error of the decoder that has a name into the caller's error.
func (v *validator) broken(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		path := v.path()
		if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			path = v.pathOf(e.JSONPointer)
		}
		v.abort = faultDuplicate(path)
	}
	return err
}

// value reads one value and checks it. Its error is that of the decoder.
func (v *validator) value(s *schema, required bool) error {
	kind := v.dec.PeekKind()
	if s.kinds&kindsOf(kind) == 0 {
		return v.unexpected(s, kind, required)
	}
	switch kind {
	case '{':
		return v.object(s)
	case '[':
		return v.array(s)
	}
	raw, err := v.dec.ReadValue()
	if err != nil {
		return err
	}
	switch kind {
	case '"':
		v.checkString(s, raw)
	case '0':
		v.checkNumber(s, raw)
	}
	return nil
}

// unexpected passes a value whose JSON type is not one of s'.
func (v *validator) unexpected(s *schema, kind jsontext.Kind, required bool) error {
	if kind == jsontext.KindInvalid { // ReadToken knows why
		_, err := v.dec.ReadToken()
		return err
	}
	if kind == 'n' {
		_, err := v.dec.ReadToken()
		if err == nil && required && s.kinds&acceptsNull == 0 {
			v.fault(func(path string) *Error { return faultType(path, s, kind, nil) })
		}
		return err
	}
	if kind == '{' || kind == '[' {
		if err := v.skip(); err != nil {
			return err
		}
		v.fault(func(path string) *Error { return faultType(path, s, kind, nil) })
		return nil
	}
	raw, err := v.dec.ReadValue()
	if err == nil {
		v.fault(func(path string) *Error { return faultType(path, s, kind, raw) })
	}
	return err
}

// object reads an object and checks its members.
func (v *validator) object(s *schema) error {
	form, tag := s, []byte(nil)
	if s.tag != "" {
		tag = findMember(v.upcoming(), s.tag)
		form = s.form(tag)
	}
	if _, err := v.dec.ReadToken(); err != nil {
		return err
	}
	if form == nil {
		v.fault(func(path string) *Error { return faultTag(path, s, tag) })
		return v.skipRest()
	}
	top := v.dec.StackDepth() == 1
	var met uint64
	count := 0
	for v.dec.PeekKind() != '}' {
		if err := v.bound(); err != nil {
			return err
		}
		bit, err := v.member(form, top)
		if err != nil {
			return err
		}
		met |= bit
		count++
	}
	if _, err := v.dec.ReadToken(); err != nil {
		return err
	}
	if top {
		v.area = inMessages // of a request, only they can be missing here
	}
	v.checkMembers(form, met, count)
	return nil
}

// member reads one member of an object and returns its bit, 0 if it is absent
// for being null.
func (v *validator) member(s *schema, top bool) (bit uint64, err error) {
	raw, err := v.dec.ReadValue()
	if err != nil {
		return 0, err
	}
	m, known := s.lookUp(raw)
	if top {
		v.area = areaOf(m.schema)
	}
	if s.maxName > 0 {
		v.checkName(s, raw)
	}
	if !known {
		if s.other != nil {
			return 0, v.value(s.other, true)
		}
		return 0, v.skip()
	}
	if m.required || v.dec.PeekKind() != 'n' {
		bit = m.bit
	}
	return bit, v.value(m.schema, m.required)
}

// array reads an array and checks its items.
func (v *validator) array(s *schema) error {
	if _, err := v.dec.ReadToken(); err != nil {
		return err
	}
	n := 0
	for v.dec.PeekKind() != ']' {
		if err := v.value(s.item, true); err != nil {
			return err
		}
		n++
	}
	if _, err := v.dec.ReadToken(); err != nil {
		return err
	}
	if n < s.minItems || s.maxItems > 0 && n > s.maxItems {
		v.fault(func(path string) *Error { return faultItems(path, s, n) })
	}
	return nil
}

// upcoming is the text from the next value on.
func (v *validator) upcoming() []byte {
	return bytes.TrimLeft(v.body[v.dec.InputOffset():], " \t\r\n,:")
}

func areaOf(s *schema) area {
	switch s {
	case modelSchema:
		return inModel
	case messagesSchema:
		return inMessages
	}
	return inRest
}

// kindsOf returns the kinds that a value that begins like this may have.
func kindsOf(kind jsontext.Kind) kinds {
	switch kind {
	case '"':
		return isString
	case '0':
		return isInteger | isDecimal
	case 't', 'f':
		return isBoolean
	case '[':
		return isArray
	case '{':
		return isObject
	case 'n':
		return acceptsNull
	}
	return 0
}
