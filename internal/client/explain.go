package client

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// Explain says what went wrong and what to do about it, for people.
func (c *Client) Explain(err error) string {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		text := strings.TrimRight(e.Error(), ". ")
		if remedy := c.remedy(e); remedy != "" {
			text += ". " + remedy
		}
		return text
	}
	unknown, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nobody answers at %s. Start osiris up, or name another server with --base-url or OSIRIS_BASE_URL", c.base)
	case isDNS:
		return fmt.Sprintf("there is no host %s. Check --base-url and OSIRIS_BASE_URL", unknown.Name)
	}
	return err.Error()
}

func (c *Client) remedy(e *protocol.Error) string {
	switch {
	case e.Status == http.StatusUnauthorized && c.cfg.Key == "":
		return "Set OSIRIS_API_KEY or --api-key; osiris keys create --name NAME makes a key"
	case e.Status == http.StatusUnauthorized:
		return fmt.Sprintf("The key in use is %s: set another with OSIRIS_API_KEY or --api-key", protocol.MaskKey(c.cfg.Key))
	case e.Status == http.StatusNotFound && e.Code == "model_not_found":
		return "Name another with --model"
	case e.Status == http.StatusNotFound && (strings.HasPrefix(e.Message, "Invalid URL") || e.Type == ""), e.Status == http.StatusMethodNotAllowed:
		return fmt.Sprintf("%s does not offer this: is the base URL right? It usually ends in /v1", c.base)
	case e.Status == http.StatusTooManyRequests, e.Status == http.StatusServiceUnavailable:
		if e.RetryAfter > 0 {
			return fmt.Sprintf("Try again in %s", e.RetryAfter.Round(time.Second))
		}
	}
	return ""
}
