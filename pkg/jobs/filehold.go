package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// HoldFile keeps the content of a file readable for holder, whatever becomes of the
// file itself, until ReleaseFile or for ttl, a second or more. Holder is a name, as
// ValidName has it; holding again begins the ttl anew. The error is ErrNoFile if
// the file is gone already.
func (c *Conn) HoldFile(ctx context.Context, f File, holder string, ttl time.Duration) error {
	if err := checkToken("holder", holder); err != nil {
		return fmt.Errorf("hold file: %w", err)
	}
	subject := c.n.fileHold(f.Tenant, f.Upload, holder)
	_, err := c.leaderGet(ctx, c.n.filesStream(), question{LastFor: subject})
	if err != nil && !errors.Is(err, errNotStored) {
		return fmt.Errorf("hold file: %w", err)
	}
	again := err == nil
	err = c.persist(ctx, "hold file", func(ctx context.Context) error {
		_, err := c.js.Publish(ctx, subject, nil,
			jetstream.WithExpectStream(c.n.filesStream()), jetstream.WithMsgTTL(max(ttl.Truncate(time.Second), time.Second)))
		return err
	})
	if err != nil {
		return fmt.Errorf("hold file: %w", err)
	}
	if again {
		return nil // the parts are there as long as they were held
	}
	// Deleting removes the entry and then looks for holders: one of the two sees the
	// other.
	if _, err = c.File(ctx, f.Tenant, f.ID); errors.Is(err, ErrNoFile) {
		return errors.Join(err, c.purge(ctx, c.n.filesStream(), subject))
	}
	return err
}

// ReleaseFile ends a hold. What nobody needs any more is removed; releasing again
// does nothing.
func (c *Conn) ReleaseFile(ctx context.Context, f File, holder string) error {
	if err := checkToken("holder", holder); err != nil {
		return fmt.Errorf("release file: %w", err)
	}
	if err := c.purge(ctx, c.n.filesStream(), c.n.fileHold(f.Tenant, f.Upload, holder)); err != nil {
		return fmt.Errorf("release file: %w", err)
	}
	if _, err := c.File(ctx, f.Tenant, f.ID); !errors.Is(err, ErrNoFile) {
		return err
	}
	held, err := c.held(ctx, f.Tenant, f.Upload)
	if err != nil || held {
		return err
	}
	if err := c.purge(ctx, c.n.filesStream(), c.n.fileParts(f.Tenant, f.Upload)); err != nil {
		return fmt.Errorf("release file: %w", err)
	}
	return nil
}

// held reports whether anybody holds the parts of an upload.
func (c *Conn) held(ctx context.Context, tenant, upload string) (bool, error) {
	_, err := c.leaderGet(ctx, c.n.filesStream(), question{LastFor: c.n.fileHold(tenant, upload, "*")})
	if errors.Is(err, errNotStored) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for holders of a file: %w", err)
	}
	return true, nil
}
