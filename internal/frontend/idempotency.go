package frontend

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

const (
	// longestIdempotencyKey is how many bytes the header may have, as elsewhere.
	longestIdempotencyKey = 255
	// queueWait bounds what a request asks of the queue before it has an answer.
	queueWait = 10 * time.Second
)

// idempotencyKey returns the request's Idempotency-Key, "" if there is none.
func idempotencyKey(fc *fiber.Ctx) (string, error) {
	keys := fc.Request().Header.PeekAll("Idempotency-Key")
	if len(keys) == 0 {
		return "", nil
	}
	key := keys[0]
	if len(keys) > 1 {
		return "", protocol.ErrInvalid("", "invalid_idempotency_key", "The request has %d Idempotency-Key headers, and may have one.", len(keys))
	}
	if len(key) > longestIdempotencyKey {
		return "", protocol.ErrInvalid("", "invalid_idempotency_key",
			"The Idempotency-Key is too long: it has %d characters, and the limit is %d.", len(key), longestIdempotencyKey)
	}
	return string(key), nil
}

// claim ties the request's Idempotency-Key to id, which names what the request is
// about to make. It returns whose the key is: id itself when the request is the
// first with its key, or has none, else what the first one named; that one may not
// exist yet, or never if its maker died: then the caller makes it, under that id.
//
// body is a hash of the request's body, all zero if it has none; another one than
// the first time, or another route, is refused with 409. claim comes after
// everything that refuses a request, so that a refused one leaves nothing behind,
// and before anything is made. It blocks for a round trip to the queue.
func (s *Server) claim(fc *fiber.Ctx, c *call, body [sha256.Size]byte, id string) (owner string, err error) {
	key, err := idempotencyKey(fc)
	if err != nil || key == "" {
		return id, err
	}
	ctx, cancel := s.within(queueWait)
	defer cancel()
	owner, err = s.queue.Claim(ctx, c.key.Tenant, key, claimed(c.method, c.path, body), id)
	if errors.Is(err, jobs.ErrKeyReused) {
		return "", errKeyReused().Wrap(err)
	}
	return owner, queueError(err)
}

// claimed is what a key is for: a route and a body.
func claimed(method, path string, body [sha256.Size]byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte(method+" "+cleanPath(path)+"\n"), body[:]...))
}

func errKeyReused() *protocol.Error {
	return &protocol.Error{
		Status: http.StatusConflict, Type: protocol.TypeInvalidRequest, Code: "idempotency_key_reused", NoRetry: true,
		Message: "This Idempotency-Key was used before with another request. Use a new key for a new request, " +
			"or send exactly the same body to the same URL to get the first one's answer.",
	}
}

// within bounds what a handler asks of the queue. It ends when answers must.
func (s *Server) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.root, d)
}

// queueError turns an error of the queue that means nothing to the client into one
// that does: after a while without an answer the queue is away.
func queueError(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return protocol.ErrUnavailable("The queue cannot be reached right now. Please try again later.", 2*time.Second).Wrap(err)
	}
	return protocol.ErrInternal().Wrap(err)
}
