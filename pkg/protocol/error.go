package protocol

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Error is what a client sees when a request fails: OpenAI's four-key envelope
// and the HTTP status and headers that go with it. Everything else that happened
// is the cause, which reaches logs but never the wire.
//
// An Error is not changed once it was returned; Wrap makes a copy.
type Error struct {
	Status  int    // HTTP status; in a running stream it is not sent
	Message string // for the caller's eyes
	Type    string // OpenAI's error type, such as "invalid_request_error"
	Param   string // the field at fault; "" is sent as null
	Code    string // OpenAI's code; "" is sent as null

	RetryAfter time.Duration // 0: no Retry-After header
	NoRetry    bool          // x-should-retry: false

	cause error
}

// Error implements error: the message and the cause.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Message + ": " + e.cause.Error()
	}
	return e.Message
}

// Unwrap returns the private cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Wrap returns a copy of e with cause as its private cause, in place of any it had.
func (e *Error) Wrap(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// AsError returns the first *Error in err's chain, else ErrInternal with err as
// its cause. It returns nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok && e != nil {
		return e
	}
	return ErrInternal().Wrap(err)
}

// AppendJSON appends the body of an error response:
//
//	{"error":{"message":…,"type":…,"param":…,"code":…}}
//
// with the keys in this order, and null for an empty param or code. Bytes that
// are not UTF-8 become U+FFFD.
func (e *Error) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"error":`...)
	return append(e.appendObject(dst), '}')
}

// appendObject appends the four keys.
func (e *Error) appendObject(dst []byte) []byte {
	dst = append(dst, `{"message":`...)
	dst = appendErrorText(dst, e.Message)
	dst = append(dst, `,"type":`...)
	dst = appendErrorText(dst, e.Type)
	dst = append(dst, `,"param":`...)
	dst = appendTextOrNull(dst, e.Param)
	dst = append(dst, `,"code":`...)
	dst = appendTextOrNull(dst, e.Code)
	return append(dst, '}')
}

// AppendEvent appends e as one server-sent event. It begins with exactly
// `data: {"error":`, the bytes by which some clients know an error in a stream.
// The closing [DONE] is the caller's.
func (e *Error) AppendEvent(dst []byte) []byte {
	dst = append(dst, "data: "...)
	dst = e.AppendJSON(dst)
	return append(dst, "\n\n"...)
}

func appendErrorText(dst []byte, s string) []byte {
	// The only error is invalid UTF-8, which AppendQuote has replaced by then.
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

func appendTextOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendErrorText(dst, s)
}

// queuedError is how an Error travels through the queue.
type queuedError struct {
	Status     int    `json:"status"`
	Message    string `json:"message"`
	Type       string `json:"type"`
	Param      string `json:"param,omitzero"`
	Code       string `json:"code,omitzero"`
	RetryAfter int64  `json:"retry_after_ms,omitzero"`
	NoRetry    bool   `json:"no_retry,omitzero"`
}

// MarshalJSON encodes e for the queue, which DecodeError reads: every public
// field, RetryAfter in whole milliseconds rounded up, no cause. It is not what a
// client gets; that is AppendJSON.
func (e *Error) MarshalJSON() ([]byte, error) {
	ms := (e.RetryAfter + time.Millisecond - 1) / time.Millisecond
	return json.Marshal(queuedError{
		Status: e.Status, Message: e.Message, Type: e.Type, Param: e.Param, Code: e.Code,
		RetryAfter: int64(ms), NoRetry: e.NoRetry,
	}, jsontext.AllowInvalidUTF8(true))
}

// DecodeError reads what MarshalJSON wrote. Unknown members are ignored, so that
// programs of different versions understand each other.
func DecodeError(b []byte) (*Error, error) {
	var q queuedError
	if err := json.Unmarshal(b, &q); err != nil {
		return nil, fmt.Errorf("decode error: %w", err)
	}
	if q.Status < 100 || q.Status > 999 || q.Type == "" {
		return nil, fmt.Errorf("decode error: status %d, type %q", q.Status, q.Type)
	}
	const most = int64(1<<63-1) / int64(time.Millisecond)
	return &Error{
		Status: q.Status, Message: q.Message, Type: q.Type, Param: q.Param, Code: q.Code,
		RetryAfter: time.Duration(max(0, min(q.RetryAfter, most))) * time.Millisecond, NoRetry: q.NoRetry,
	}, nil
}
