package anthropic

import (
	"errors"
	"net/http"
	"strings"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

// openAI gives an error of the API OpenAI's types, and finds the empty account
// that the API reports as the client's invalid request. It leaves every other
// error as it is.
func openAI(err error) error {
	e, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return err
	}
	if e.Public.Status == http.StatusBadRequest && strings.Contains(e.Public.Message, "credit balance is too low") {
		return &provider.Error{
			Public:   protocol.ErrUpstream("The model's server refused the request of this gateway."),
			Fallback: true,
			Operator: "the server's account has no credit: " + e.Public.Message,
			Cause:    e,
		}
	}
	switch e.Public.Type {
	case "api_error", "timeout_error":
		e.Public.Type = protocol.TypeServer
	case "overloaded_error":
		e.Public.Type = protocol.TypeServiceUnavailable
	case "rate_limit_error":
		e.Public.Type = protocol.TypeRequests
	case "request_too_large", "not_found_error":
		e.Public.Type = protocol.TypeInvalidRequest
	}
	return err
}
