package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrKeyReused says that an idempotency key was used before, with another request.
var ErrKeyReused = errors.New("idempotency key was used with another request")

const (
	claimVersion = 1
	claimHeader  = 1 + sha256.Size
	maxClaimID   = 256
)

var errBadClaim = errors.New("not a claim")

// Claim ties an idempotency key to what id names, for 24 hours, by one conditional
// write: however many ask at the same moment, one wins. It returns whose the key
// is: id itself if this call made the claim (or an earlier one with the same id),
// else what the key was first used for. The owner may be named and not exist yet,
// or not any more: its creator died before it submitted anything, or it was
// deleted. body is a hash of the request; with another one than the first time
// the error is ErrKeyReused. key may be any text, only its hash is stored.
//
// It keeps trying while NATS is away, until ctx ends. There is no way to give a
// claim back, so the request must be known to be good.
func (c *Conn) Claim(ctx context.Context, tenant, key string, body [32]byte, id string) (owner string, err error) {
	if err := checkToken("tenant", tenant); err != nil {
		return "", fmt.Errorf("claim key: %w", err)
	}
	if id == "" || len(id) > maxClaimID {
		return "", fmt.Errorf("claim key: id of %d bytes: want 1 to %d", len(id), maxClaimID)
	}
	subject := c.n.claim(tenant, hashKey(key))
	mine := encodeClaim(body, id)
	for {
		won, err := c.putFirst(ctx, "claim key", c.n.claimsStream(), first(labelled(subject, mine, ""), 0))
		if err != nil {
			return "", fmt.Errorf("claim key: %w", err)
		}
		if won {
			return id, nil
		}
		m, err := c.leaderGet(ctx, c.n.claimsStream(), question{LastFor: subject})
		if errors.Is(err, errNotStored) {
			continue // its day ended just now
		}
		if err != nil {
			return "", fmt.Errorf("claim key: %w", err)
		}
		first, owner, err := decodeClaim(m.Data)
		if err != nil {
			return "", fmt.Errorf("claim key: %w", err)
		}
		if !bytes.Equal(first, body[:]) {
			return "", ErrKeyReused
		}
		return owner, nil
	}
}

// hashKey makes a key of any text a part of a subject.
func hashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16])
}

// A claim is its version, the hash of the request and the owner's id.
func encodeClaim(body [32]byte, id string) []byte {
	b := append(make([]byte, 0, claimHeader+len(id)), claimVersion)
	return append(append(b, body[:]...), id...)
}

func decodeClaim(b []byte) (body []byte, id string, err error) {
	if len(b) <= claimHeader || b[0] != claimVersion {
		return nil, "", errBadClaim
	}
	return b[1:claimHeader], string(b[claimHeader:]), nil
}
