package anthropic

import (
	"errors"
	"net/http"
	"strings"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

// billing finds the empty account that the API reports as the client's invalid
// request, and leaves every other error as it is.
func billing(err error) error {
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || e.Public.Status != http.StatusBadRequest || !strings.Contains(e.Public.Message, "credit balance is too low") {
		return err
	}
	return &provider.Error{
		Public:   protocol.ErrUpstream("The model's server refused the request of this gateway."),
		Fallback: true,
		Operator: "the server's account has no credit: " + e.Public.Message,
		Cause:    e,
	}
}
