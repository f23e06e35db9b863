package protocol

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The error types of OpenAI's API that Osiris uses.
const (
	TypeInvalidRequest     = "invalid_request_error"
	TypeServer             = "server_error"
	TypeServiceUnavailable = "service_unavailable_error"
	TypeRequests           = "requests" // of a rate limit on requests; "tokens" is its sibling
)

// The texts below are OpenAI's own, since callers and proxies match on them.
// Only where OpenAI's text sends the reader to its own site does ours name the
// operator instead.

// ErrInvalid says that the caller's request is at fault: 400. param and code may be empty.
func ErrInvalid(param, code, format string, args ...any) *Error {
	return &Error{
		Status: http.StatusBadRequest, Type: TypeInvalidRequest,
		Param: param, Code: code, Message: fmt.Sprintf(format, args...),
	}
}

// ErrNoKey says that the request carries no API key: 401.
func ErrNoKey() *Error {
	return &Error{
		Status: http.StatusUnauthorized, Type: TypeInvalidRequest,
		Message: "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth " +
			"(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the API " +
			"from your browser and are prompted for a username and password. You can obtain an API key from the operator of this server.",
	}
}

// ErrBadKey says that the API key is unknown, expired or revoked: 401. hint is
// the key as MaskKey shows it, never the key itself.
func ErrBadKey(hint string) *Error {
	return &Error{
		Status: http.StatusUnauthorized, Type: TypeInvalidRequest, Code: "invalid_api_key",
		Message: "Incorrect API key provided: " + hint + ". You can obtain an API key from the operator of this server.",
	}
}

// MaskKey shows enough of a key for its owner to recognise it: the first eight
// and the last four characters with stars between, all stars if it is short.
func MaskKey(secret string) string {
	const head, tail, stars = 8, 4, 24
	runes := []rune(secret[:min(len(secret), 4096)])
	if len(runes) < 2*(head+tail) {
		return strings.Repeat("*", min(len(runes), stars))
	}
	hidden := min(len(runes)-head-tail, stars)
	return string(runes[:head]) + strings.Repeat("*", hidden) + string(runes[len(runes)-tail:])
}

// ErrModelNotFound says that no worker serves the model, or not to this key: 404.
func ErrModelNotFound(model string) *Error {
	return &Error{
		Status: http.StatusNotFound, Type: TypeInvalidRequest, Code: "model_not_found",
		Message: fmt.Sprintf("The model `%s` does not exist or you do not have access to it.", shorten(model)),
	}
}

// ErrUnknownURL says that there is no such route: 404.
func ErrUnknownURL(method, path string) *Error {
	return &Error{
		Status: http.StatusNotFound, Type: TypeInvalidRequest,
		Message: fmt.Sprintf("Invalid URL (%s %s)", shorten(method), shorten(path)),
	}
}

// ErrMethod says that the route exists, but not with this method: 405.
func ErrMethod(method, path string) *Error {
	return &Error{
		Status: http.StatusMethodNotAllowed, Type: TypeInvalidRequest, Code: "method_not_supported",
		Message: fmt.Sprintf("Not allowed to %s on %s", shorten(method), shorten(path)),
	}
}

// ErrBadJSON says that the body is not JSON: 400.
func ErrBadJSON() *Error {
	return ErrInvalid("", "", "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "+
		"your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have "+
		"trouble figuring out how to fix this, please contact the operator of this server.)")
}

// ErrBodyTooLarge says that the body, or what it inflates to, exceeds limit bytes: 413.
func ErrBodyTooLarge(limit int64) *Error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Type: TypeInvalidRequest,
		Message: fmt.Sprintf("The request body is too large: the limit is %d bytes.", limit),
	}
}

// ErrUnsupportedEncoding says that the body's Content-Encoding is not understood: 415.
func ErrUnsupportedEncoding(enc string) *Error {
	return &Error{
		Status: http.StatusUnsupportedMediaType, Type: TypeInvalidRequest,
		Message: fmt.Sprintf("Unsupported content encoding: '%s'.", shorten(enc)),
	}
}

// ErrHeaderTooLarge says that the request's header exceeds the limit: 431.
func ErrHeaderTooLarge() *Error {
	return &Error{
		Status: http.StatusRequestHeaderFieldsTooLarge, Type: TypeInvalidRequest,
		Message: "The request header is too large.",
	}
}

// ErrInternal says that something is wrong with the server itself: 500.
func ErrInternal() *Error {
	return &Error{
		Status: http.StatusInternalServerError, Type: TypeServer,
		Message: "The server had an error while processing your request. Sorry about that!",
	}
}

// ErrOverloaded says that there is more work than can be taken now: 503.
func ErrOverloaded(retryAfter time.Duration) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Type: TypeServiceUnavailable, Code: "server_is_overloaded",
		Message: "The engine is currently overloaded, please try again later", RetryAfter: retryAfter,
	}
}

// ErrUnavailable says that something that the request needs is away for now: 503.
func ErrUnavailable(message string, retryAfter time.Duration) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Type: TypeServiceUnavailable,
		Message: message, RetryAfter: retryAfter,
	}
}

// ErrModelUnavailable says that nobody calls the model for now, because every
// provider of it keeps failing: 503.
func ErrModelUnavailable(model string, retryAfter time.Duration) *Error {
	return ErrUnavailable(fmt.Sprintf("The model `%s` is unavailable at the moment: its provider keeps failing. Please try again later.", shorten(model)), retryAfter)
}

// ErrTimeout says that the model did not answer in time: 504.
func ErrTimeout(message string) *Error {
	return &Error{Status: http.StatusGatewayTimeout, Type: TypeServer, Code: "upstream_timeout", Message: message}
}

// ErrUpstream says that the model server failed, or refused Osiris' own key: 502.
func ErrUpstream(message string) *Error {
	return &Error{Status: http.StatusBadGateway, Type: TypeServer, Message: message}
}

// ErrRateLimit says that a limit on requests is reached: 429.
func ErrRateLimit(message string, retryAfter time.Duration) *Error {
	return &Error{
		Status: http.StatusTooManyRequests, Type: TypeRequests, Code: "rate_limit_exceeded",
		Message: message, RetryAfter: retryAfter,
	}
}

// ErrWorkerLost says that the worker died once part of the answer was out, so
// that nobody can finish it: 503, or an event in a running stream.
func ErrWorkerLost() *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Type: TypeServer,
		Message: "The worker that was generating this answer stopped before it was complete. Please retry your request.",
	}
}

// ErrWorkerLostKept is ErrWorkerLost for a stored completion, which another worker goes
// on with.
func ErrWorkerLostKept(id string) *Error {
	err := ErrWorkerLost()
	err.Message = "The worker that was generating this answer stopped before it was complete. Another one generates it anew: " +
		"read it with GET /v1/chat/completions/" + id + "?stream=true instead of sending your request again."
	return err
}

// ErrWorkerLostKeyed is ErrWorkerLost for a request with an idempotency key.
func ErrWorkerLostKeyed() *Error {
	err := ErrWorkerLost()
	err.Message = "The worker that was generating this answer stopped before it was complete. Another one generates it anew: " +
		"send your request again with the same Idempotency-Key to read it."
	return err
}

// shorten keeps what a caller sent from filling our answer.
func shorten(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
