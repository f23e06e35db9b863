package frontendpart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/pkg/jobs"
)

// firstKey makes the bootstrap key if it was never made. Without a bootstrap key
// and with generate, it makes the very first key. The secret of a key that was made
// here is returned for showing it once; it is empty otherwise. A bootstrap key that
// was revoked stays so: a restart must not bring it back, but log hears of it.
func firstKey(ctx context.Context, conn *jobs.Conn, bootstrap config.Secret, generate bool, log *slog.Logger) (string, error) {
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
		if i := slices.IndexFunc(keys, func(k jobs.Key) bool { return k.Hash == hash }); i >= 0 {
			warnRevoked(log, keys[i])
			return "", nil
		}
		spec.Name, spec.Secret = "bootstrap", bootstrap.Reveal()
	} else if len(keys) > 0 {
		return "", nil
	}
	key, secret, err := conn.CreateKey(ctx, spec)
	if err != nil {
		return "", fmt.Errorf("create the first key: %w", err)
	}
	if !key.Revoked.IsZero() { // another program made it meanwhile
		warnRevoked(log, key)
		return "", nil
	}
	return secret, nil
}

func warnRevoked(log *slog.Logger, key jobs.Key) {
	if key.Revoked.IsZero() {
		return
	}
	log.Warn("OSIRIS_BOOTSTRAP_KEY is a revoked key, which opens nothing",
		"key", key.ID, "revoked", key.Revoked, "remedy", "set another one, or create a key with: osiris keys create")
}
