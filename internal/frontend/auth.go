package frontend

import (
	"bytes"
	"encoding/base64"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// anonymous is the tenant of requests without a key.
const anonymous = "anonymous"

// identify sets the call's key, or says why there is none.
func (s *Server) identify(fc *fiber.Ctx, c *call) error {
	key, err := s.authenticate(&fc.Request().Header, c.cfg)
	if err != nil {
		s.metrics.denied.Inc()
		return err
	}
	c.key = key
	return nil
}

func (s *Server) authenticate(h *fasthttp.RequestHeader, cfg *Config) (*jobs.Key, error) {
	secret := secretOf(h)
	if cfg.AllowAnonymous && (len(secret) == 0 || s.keys.Empty()) {
		return s.nobody, nil // SDKs insist on sending some key
	}
	if len(secret) == 0 {
		return nil, protocol.ErrNoKey()
	}
	return s.keys.Authenticate(secret)
}

// secretOf finds the API key: a bearer token, the password of basic
// authentication, or the header of Anthropic's SDKs. It may point into h.
func secretOf(h *fasthttp.RequestHeader) []byte {
	scheme, rest, _ := bytes.Cut(bytes.TrimSpace(h.Peek(fiber.HeaderAuthorization)), []byte(" "))
	rest = bytes.TrimSpace(rest)
	switch {
	case bytes.EqualFold(scheme, []byte("Bearer")):
		return rest
	case bytes.EqualFold(scheme, []byte("Basic")):
		pair, err := base64.StdEncoding.AppendDecode(nil, rest)
		if err != nil {
			return nil
		}
		_, password, _ := bytes.Cut(pair, []byte(":"))
		return password
	}
	return bytes.TrimSpace(h.Peek("X-Api-Key"))
}
