package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream/http1"
	"github.com/osiris/osiris/pkg/protocol"
)

var errTooLarge = errors.New("the answer is larger than allowed")

// unreachable is a call that got no response: refused, unresolved, reset. A server
// whose response cannot be read was reached.
func (c *Call) unreachable(err error) error {
	if _, ok := errors.AsType[*http1.MalformedError](err); ok {
		return c.rubbish(err)
	}
	e := &provider.Error{
		Public:   protocol.ErrUpstream("The model's server could not be reached."),
		Retry:    true,
		Fallback: true,
		Cause:    err,
	}
	if certificateFault(err) {
		e.Operator = "the server's TLS certificate was not accepted: " + e.Cause.Error()
	}
	return e
}

// broken is an answer that stopped in the middle.
func (c *Call) broken(err error) error {
	return &provider.Error{
		Public:   protocol.ErrUpstream("The model's server ended its answer early."),
		Retry:    !c.payload,
		Fallback: true,
		Cause:    fmt.Errorf("read answer: %w", err),
	}
}

// rubbish is an answer that makes no sense.
func (c *Call) rubbish(err error) error {
	malformed, ok := errors.AsType[*http1.MalformedError](err)
	large := errors.Is(err, errTooLarge) || ok && malformed.Large
	return &provider.Error{
		Public:   protocol.ErrUpstream("The model's server sent an answer that could not be read."),
		Retry:    !c.payload && !large,
		Fallback: true,
		Cause:    fmt.Errorf("read answer: %w", err),
	}
}

// TimedOut is what a reached limit means. answered tells whether payload had come.
func TimedOut(t *TimeoutError, answered bool) *provider.Error {
	texts := map[Phase]string{
		PhaseConnect:    "The model's server did not take the request within %s.",
		PhaseFirstToken: "The model's server did not begin to answer within %s.",
		PhaseIdle:       "The model's server fell silent for %s in the middle of its answer.",
		PhaseTotal:      "The model's server did not finish its answer within %s.",
	}
	return &provider.Error{
		Public:   protocol.ErrTimeout(fmt.Sprintf(texts[t.Phase], t.Limit)),
		Retry:    !answered,
		Fallback: true,
		Cause:    t,
	}
}

func certificateFault(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) || errors.As(err, new(x509.CertificateInvalidError))
}

// secrets returns the values in h that must not come back in a message.
func secrets(h http.Header) []string {
	var found []string
	for name, values := range h {
		switch strings.ToLower(name) {
		case "content-type", "accept", "accept-encoding", "user-agent", "anthropic-version", "anthropic-beta", "x-client-request-id":
			continue
		}
		for _, v := range values {
			if _, token, ok := strings.Cut(v, " "); ok {
				v = token
			}
			if len(v) >= 8 {
				found = append(found, v)
			}
		}
	}
	return found
}

// querySecrets returns the values of a URL's query, where some servers want the key.
func querySecrets(address string) []string {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	var found []string
	for _, values := range u.Query() {
		for _, v := range values {
			if len(v) >= 16 { // shorter ones are versions
				found = append(found, v)
			}
		}
	}
	return found
}

// redact takes the key out of what a server said.
func (c *Call) redact(d *Details) {
	for _, s := range append(secrets(c.request.Header), querySecrets(c.request.URL)...) {
		d.Message = strings.ReplaceAll(d.Message, s, "***")
	}
}
