package frontendpart

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

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
	spec := jobs.KeySpec{Name: "first", Tenant: "default"}
	if bootstrap != "" {
		have, err := conn.KeyOf(ctx, bootstrap.Reveal())
		if err == nil {
			warnRevoked(log, have)
			return "", nil
		}
		if !errors.Is(err, jobs.ErrNoKey) {
			return "", err
		}
		spec.Name, spec.Secret = "bootstrap", bootstrap.Reveal()
	} else if some, err := conn.HasKeys(ctx); some || err != nil {
		return "", err
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
