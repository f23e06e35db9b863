package load

import (
	"errors"
	"fmt"
	"io"
	"net"
)

// failure is what was wrong with an answer, with the kind that it is counted under.
type failure struct {
	kind  string
	cause error
}

// Error implements error.
func (e *failure) Error() string { return e.kind + ": " + e.cause.Error() }

// Unwrap returns the cause.
func (e *failure) Unwrap() error { return e.cause }

func fail(kind, format string, args ...any) error {
	return &failure{kind, fmt.Errorf(format, args...)}
}

// broken is a failure of the connection; while says what it was in.
func broken(while string, err error) error {
	if e, ok := errors.AsType[*failure](err); ok {
		return e
	}
	kind := "connection"
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		kind = "timeout"
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		kind = "truncated"
	}
	return fail(kind, "%s: %w", while, err)
}

// kindOf is what err is counted under.
func kindOf(err error) string {
	if e, ok := errors.AsType[*failure](err); ok {
		return e.kind
	}
	return "other"
}
