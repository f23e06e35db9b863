package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// SetMetadata replaces the metadata of a kept job. The error is ErrNotKept if it is
// not there, else a *protocol.Error.
func (cl *Client) SetMetadata(ctx context.Context, tenant string, id ID, metadata map[string]string) (*Kept, error) {
	if err := cl.conn.setMetadata(ctx, tenant, id, metadata); err != nil {
		return nil, keptError("set metadata", err)
	}
	return cl.Kept(ctx, tenant, id, KeptOptions{SmallBody: true})
}

func (c *Conn) setMetadata(ctx context.Context, tenant string, id ID, metadata map[string]string) error {
	k, rec, err := c.readKept(ctx, tenant, id)
	if err != nil {
		return err
	}
	if k.Job.Keep.Hidden {
		return ErrNotKept
	}
	value, err := json.Marshal(metadata, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	// The record must still be there: a delete at the same moment leaves nothing.
	record := c.n.record(tenant, id)
	return c.persist(ctx, "set metadata", func(ctx context.Context) error {
		_, err := c.js.PublishMsg(ctx, labelled(c.n.metadata(tenant, id), value, pairsLabel(metadata)), jetstream.WithExpectStream(c.n.keptStream()),
			jetstream.WithExpectLastSequenceForSubject(rec.seq, record))
		if !refusedAsTaken(err) {
			return err
		}
		_, err = c.leaderGet(ctx, c.n.keptStream(), question{LastFor: record})
		if errors.Is(err, errNotStored) {
			return ErrNotKept
		}
		return errors.Join(err, errRace) // a cluster refuses while another is under way
	})
}

// CancelKept ends a kept job in whatever phase it is; one that has ended stays as it
// ended. Whoever runs it is told to stop, and nothing it says changes the result.
// The error is ErrNotKept if the job is not there, else a *protocol.Error.
func (cl *Client) CancelKept(ctx context.Context, tenant string, id ID) (*Kept, error) {
	k, err := cl.cancelKept(ctx, tenant, id)
	if err != nil {
		return nil, keptError("cancel kept job", err)
	}
	return k, nil
}

func (cl *Client) cancelKept(ctx context.Context, tenant string, id ID) (*Kept, error) {
	k, rec, err := cl.conn.readKept(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	if k.Job.Keep.Hidden {
		return nil, ErrNotKept
	}
	if k.Result != nil {
		return k, nil
	}
	seen, err := cl.conn.sight(ctx, rec)
	if err != nil {
		return nil, err
	}
	r, err := cl.conclude(ctx, rec, &Result{Status: Cancelled, Started: seen.began, Ended: time.Now()})
	if err != nil {
		return nil, err
	}
	return k, k.end(r)
}

// DeleteKept removes a kept job and everything of it, ended or not; one that runs is
// stopped. The error is ErrNotKept if it is not there, else a *protocol.Error.
//
// A tombstone takes the place of its result. It outlives the job's record and every
// worker that may still bring a result, so nothing comes back, even if removing is
// broken off in the middle.
func (cl *Client) DeleteKept(ctx context.Context, tenant string, id ID) error {
	return keptError("delete kept job", cl.conn.deleteKept(ctx, tenant, id))
}

func (c *Conn) deleteKept(ctx context.Context, tenant string, id ID) error {
	if !validToken(tenant) {
		return ErrNotKept
	}
	rec, err := c.readRecord(ctx, tenant, id)
	if err != nil {
		return err
	}
	if rec.job.Keep.Hidden {
		return ErrNotKept
	}
	group, name := rec.job.resultName()
	subject := c.n.result(tenant, group, name)
	ended, err := c.bury(ctx, subject)
	if err != nil && !errors.Is(err, ErrNotKept) {
		return err
	}
	errs := []error{
		err, // of one that was deleted, if not to the end
		c.purge(ctx, c.n.resultsStream(), subject+".>"),
		c.purge(ctx, c.n.keptStream(), c.n.keptAll(tenant, id)),
		c.purge(ctx, c.n.replayStream(), c.n.replay(id)),
	}
	if !ended {
		errs = append(errs, c.withdraw(ctx, rec.job))
	}
	return errors.Join(errs...)
}

// Deleted reports whether there was a kept job of that id which was deleted: as long
// as results are kept, that is known. Its error is a *protocol.Error.
func (cl *Client) Deleted(ctx context.Context, tenant string, id ID) (bool, error) {
	r, err := cl.conn.resultIfAny(ctx, tenant, id)
	return err == nil && r != nil && r.Status == Deleted, keptError("look for deleted job", err)
}

// bury puts a tombstone in the place of a result, or where one would come, and
// reports whether there was one. Of several that try, one succeeds; the others get
// ErrNotKept.
func (c *Conn) bury(ctx context.Context, subject string) (ended bool, err error) {
	data, err := encodeResult(nil, &Result{Status: Deleted, Worker: NewID().String(), Ended: time.Now()}, nil)
	if err != nil {
		return false, err
	}
	err = c.persist(ctx, "delete kept job", func(ctx context.Context) error {
		var seq uint64
		m, err := c.leaderGet(ctx, c.n.resultsStream(), question{LastFor: subject})
		switch {
		case err == nil:
			if bytes.Equal(m.Data, data) { // it arrived, its ack did not
				return nil
			}
			if r, _, err := decodeResult(m.Data); err == nil && r.Status == Deleted {
				return ErrNotKept
			}
			seq, ended = m.Seq, true
		case !errors.Is(err, errNotStored):
			return err
		}
		_, err = c.js.PublishMsg(ctx, labelled(subject, data, resultLabel(Deleted)), jetstream.WithExpectStream(c.n.resultsStream()),
			jetstream.WithExpectLastSequencePerSubject(seq))
		if refusedAsTaken(err) {
			return errRace // a result came, or another delete
		}
		return err
	})
	return ended, err
}

// onRevoked ends the streams of kept jobs that were cancelled or deleted while they
// waited. Of one that runs, its worker tells.
func (cl *Client) onRevoked(m *nats.Msg) {
	rest, err := openMessage(m.Data)
	var f frame
	for err == nil && len(rest) > 0 {
		if f, rest, err = nextFrame(rest); err != nil || f.kind != ctlRevoke {
			continue
		}
		s := cl.stream(f.job)
		if s == nil || s.tenant == "" {
			continue
		}
		s.mu.Lock()
		waits := s.control == ""
		s.mu.Unlock()
		if waits {
			s.fail(errRevoked())
		}
	}
	if err != nil {
		cl.log.Error("cancellation cannot be read", "error", err)
	}
}
