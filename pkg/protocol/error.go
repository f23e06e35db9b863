package protocol

import "time"

// Error is what a client sees when a request fails: OpenAI's four-key envelope
// and the HTTP status and headers that go with it. Everything else that happened
// is the cause, which reaches logs but never the wire.
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
