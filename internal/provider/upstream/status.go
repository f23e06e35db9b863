package upstream

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

// StatusError is what an HTTP status and the details that came with it mean for the
// client, for retries and for the operator. header may be nil (an error inside a
// stream); model is the client's name for the model.
func StatusError(status int, header http.Header, d Details, model string) *provider.Error {
	after := RetryAfter(header, time.Now())
	cause := fmt.Errorf("server answered %d: %s", status, d.said())
	e := &provider.Error{RetryAfter: after, Cause: cause}
	switch {
	case d.quota() || d.badKey() || status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusPaymentRequired:
		e.Public = protocol.ErrUpstream("The model's server refused the request of this gateway.")
		e.Fallback = true
		e.Operator = fmt.Sprintf("the server refused the key or its account: status %d: %s", status, d.said())
	case status == http.StatusNotFound:
		e.Public = protocol.ErrModelNotFound(model)
		e.Fallback = true
		if d.Message == "" || strings.Contains(strings.ToLower(d.Message), "url") {
			e.Operator = fmt.Sprintf("the server knows no such address: status 404: %s", d.said())
		}
	case status/100 == 3:
		e.Public = protocol.ErrUpstream("The model's server answered with a redirect, which is not followed.")
		e.Fallback = true
		e.Operator = fmt.Sprintf("the server redirects (status %d to %s), which is refused: set the base URL", status, location(header))
	case status == http.StatusTooManyRequests:
		e.Public, e.Retry, e.Fallback = rateLimit(d, after), true, true
	case status == http.StatusRequestTimeout:
		e.Public, e.Retry, e.Fallback = protocol.ErrTimeout(d.or("The model's server timed out.")), true, true
	case status == http.StatusConflict:
		e.Public, e.Retry, e.Fallback = protocol.ErrUpstream(d.or("The model's server reported a conflict.")), true, true
	case status/100 == 4 && status != 498:
		e.Public = clientError(status, d)
	default:
		e.Public, e.Retry, e.Fallback = serverError(status, d, after), true, true
	}
	if header.Get("X-Should-Retry") == "false" {
		e.Retry = false
	}
	return e
}

// EventError is [EventError] for this call: what was sent as a key is taken out of
// what the server said, and once part of the answer came, the call is not repeated.
func (c *Call) EventError(d Details, model string) error {
	c.redact(&d)
	e := EventError(d, model)
	e.Retry = e.Retry && !c.payload
	return e
}

// EventError is what an error inside a 200 means: an error event, a chunk with an
// error, an error object instead of an answer. The status comes from the details.
func EventError(d Details, model string) *provider.Error {
	return StatusError(d.status(), nil, d, model)
}

func clientError(status int, d Details) *protocol.Error {
	e := &protocol.Error{
		Status:  http.StatusBadRequest,
		Message: d.or("The model's server did not accept the request."),
		Type:    d.typeOr(protocol.TypeInvalidRequest),
		Param:   d.Param,
		Code:    d.Code,
	}
	if status == http.StatusRequestEntityTooLarge {
		e.Status = status
	}
	if d.tooLong() {
		e.Type, e.Code = protocol.TypeInvalidRequest, "context_length_exceeded"
	}
	return e
}

func rateLimit(d Details, after time.Duration) *protocol.Error {
	code := d.Code
	if code == "" || code == "429" {
		code = "rate_limit_exceeded"
	}
	return &protocol.Error{
		Status:     http.StatusTooManyRequests,
		Message:    d.or("The model's server is limiting requests; please try again later."),
		Type:       d.typeOr(protocol.TypeRequests),
		Param:      d.Param,
		Code:       code,
		RetryAfter: after,
	}
}

func serverError(status int, d Details, after time.Duration) *protocol.Error {
	switch status {
	case 498, 529:
		return &protocol.Error{
			Status:     http.StatusServiceUnavailable,
			Message:    d.or("The engine is currently overloaded, please try again later"),
			Type:       protocol.TypeServiceUnavailable,
			Code:       "server_is_overloaded",
			RetryAfter: after,
		}
	case http.StatusServiceUnavailable:
		return &protocol.Error{
			Status:     status,
			Message:    d.or("The model's server is unavailable, please try again later."),
			Type:       d.typeOr(protocol.TypeServiceUnavailable),
			Code:       d.Code,
			RetryAfter: after,
		}
	case http.StatusGatewayTimeout, 522, 524:
		return protocol.ErrTimeout(d.or("The model's server timed out."))
	default:
		e := protocol.ErrUpstream(d.or("The model's server had an error."))
		e.Type, e.Code, e.RetryAfter = d.typeOr(protocol.TypeServer), d.Code, after
		return e
	}
}

func location(h http.Header) string {
	at, _, _ := strings.Cut(h.Get("Location"), "?")
	return at
}
