package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/pkg/jobs"
)

// firstKey makes the bootstrap key if it was never made. Without a bootstrap key
// and with generate, it makes the very first key. The secret of a key that was made
// here is returned for showing it once; it is empty otherwise.
func firstKey(ctx context.Context, conn *jobs.Conn, bootstrap config.Secret, generate bool) (string, error) {
	if bootstrap == "" && !generate {
		return "", nil
	}
	keys, err := conn.Keys(ctx)
	if err != nil {
		return "", fmt.Errorf("read keys: %w", err)
	}
	spec := jobs.KeySpec{Name: "first", Tenant: "default"}
	if bootstrap != "" {
		sum := sha256.Sum256([]byte(bootstrap.Reveal()))
		hash := hex.EncodeToString(sum[:])
		if slices.ContainsFunc(keys, func(k jobs.Key) bool { return k.Hash == hash }) {
			return "", nil // also when it was revoked: a restart must not bring it back
		}
		spec.Name, spec.Secret = "bootstrap", bootstrap.Reveal()
	} else if len(keys) > 0 {
		return "", nil
	}
	_, secret, err := conn.CreateKey(ctx, spec)
	if err != nil {
		return "", fmt.Errorf("create the first key: %w", err)
	}
	return secret, nil
}
