package jobs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/protocol"
)

// BatchPrefix begins the id of every batch; what follows is an ID.
const BatchPrefix = "batch_"

var (
	// ErrNoBatch says that there is no such batch, or none of this tenant.
	ErrNoBatch = errors.New("no such batch")
	// ErrBatchMoved says that the batch was written by somebody else since it was read.
	ErrBatchMoved = errors.New("the batch was written by somebody else")
)

// StoredBatch is a batch as it is stored.
//
// Invariant: it is written by compare-and-set on Revision only, so a driver that
// was replaced changes nothing any more.
type StoredBatch struct {
	Object protocol.Batch `json:"object"` // as clients see it

	Tenant        string        `json:"tenant"`
	Key           string        `json:"key"`                      // id of the API key that created it: each line runs by its permissions
	OutputExpires time.Duration `json:"output_expires,omitempty"` // of the files it makes; 0: the default of files

	// Input is the input file as its creator or its first driver found and held it: the batch goes on
	// when the file is deleted. Nil: not found yet.
	Input *File `json:"input,omitempty"`

	Fence  uint64 `json:"fence,omitempty"`  // grows with each driver that takes the batch over
	Driver string `json:"driver,omitempty"` // the newest one, for people

	Backlog *Backlog `json:"backlog,omitempty"` // nil: none known

	Revision uint64 `json:"-"` // of the bucket, 0 for a batch that is not stored yet
}

// Backlog is what a driver leaves to the one after it about requests that failed in
// ways that may pass, so that a batch that moves tries none more often than one that
// stays.
type Backlog struct {
	Tries map[int]int `json:"tries,omitempty"` // how often a line was tried, by its number; those tried most
	Round uint        `json:"round,omitempty"` // of failures of all
	Until time.Time   `json:"until,omitzero"`  // nothing is submitted before
}

// NewBatchID returns a fresh id; those made later sort behind.
func NewBatchID() string { return BatchPrefix + NewID().String() }

// parseBatchID returns the ID in a batch's id.
func parseBatchID(id string) (ID, error) {
	digits, ok := strings.CutPrefix(id, BatchPrefix)
	if !ok {
		return ID{}, ErrNoBatch
	}
	parsed, err := ParseID(digits)
	if err != nil {
		return ID{}, ErrNoBatch
	}
	return parsed, nil
}

// LineID returns the id under which a line of a batch is queued for the nth time,
// from 0. It carries the time of the batch.
func LineID(batch string, line, try int) (ID, error) {
	id, err := parseBatchID(batch)
	if err != nil {
		return ID{}, err
	}
	return deriveID(id, "line "+strconv.Itoa(line)+" try "+strconv.Itoa(try)), nil
}

// BatchFileID returns the id of a file that a batch makes, such as its "output".
func BatchFileID(batch, which string) (string, error) {
	id, err := parseBatchID(batch)
	if err != nil {
		return "", err
	}
	return FileID(deriveID(id, "file "+which)), nil
}

// CreateBatch stores a new batch, whose Object, Tenant and Key are set, and hands it
// to the drivers. Calling it again for the same id changes nothing. It keeps trying
// until ctx ends; after an error the batch may or may not be there.
func (c *Conn) CreateBatch(ctx context.Context, b *StoredBatch) error {
	if _, err := parseBatchID(b.Object.ID); err != nil {
		return fmt.Errorf("create batch %q: %w", b.Object.ID, err)
	}
	if err := checkToken("tenant", b.Tenant); err != nil {
		return fmt.Errorf("create batch: %w", err)
	}
	// The run comes first: without it the batch would wait for ever should this
	// process end in between. A run without a batch is dropped by the drivers after
	// orphanAge; the one below makes up for a batch that was created then.
	if err := c.publishRun(ctx, b.Tenant, b.Object.ID); err != nil {
		return fmt.Errorf("create batch: %w", err)
	}
	err := c.writeBatch(ctx, b)
	if err != nil && !errors.Is(err, ErrBatchMoved) {
		return fmt.Errorf("create batch: %w", err)
	}
	if err := c.publishRun(ctx, b.Tenant, b.Object.ID); err != nil {
		return fmt.Errorf("create batch: %w", err)
	}
	return nil
}

// holdMargin is how much longer than its window a batch may take to end.
const holdMargin = 24 * time.Hour

// HoldInput finds the input of a batch and keeps it readable until it is released, whatever
// becomes of the file. It sets b.Input, which stays nil if there is no such file.
func (c *Conn) HoldInput(ctx context.Context, b *StoredBatch) error {
	f, err := c.File(ctx, b.Tenant, b.Object.InputFileID)
	if err == nil {
		long := time.Until(time.Unix(b.Object.ExpiresAt, 0)) + holdMargin
		err = c.HoldFile(ctx, f, b.Object.ID, max(long, holdMargin))
	}
	if errors.Is(err, ErrNoFile) {
		return nil
	}
	if err != nil {
		return err
	}
	b.Input = &f
	return nil
}

// WriteBatch stores b if nobody wrote it since it was read, and moves its Revision.
// The error is ErrBatchMoved if somebody did. It keeps trying until ctx ends.
func (c *Conn) WriteBatch(ctx context.Context, b *StoredBatch) error {
	if b.Revision == 0 {
		return fmt.Errorf("write batch %s: %w", b.Object.ID, ErrNoBatch)
	}
	return c.writeBatch(ctx, b)
}

func (c *Conn) writeBatch(ctx context.Context, b *StoredBatch) error {
	value, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("write batch: %w", err)
	}
	subject := c.n.batchKey(b.Tenant, b.Object.ID)
	unsure := false // an answer was lost: the write that is there may be this one
	err = c.persist(ctx, "write batch", func(ctx context.Context) error {
		ack, err := c.js.Publish(ctx, subject, value, jetstream.WithExpectLastSequencePerSubject(b.Revision))
		if err == nil {
			b.Revision = ack.Sequence
			return nil
		}
		if !hasCode(err, jetstream.JSErrCodeStreamWrongLastSequence) && !hasCode(err, codeWrongLastSequence) {
			unsure = true
			return err
		}
		m, err := c.leaderGet(ctx, c.n.bucketStream(c.n.batchesBucket()), question{LastFor: subject})
		switch {
		case errors.Is(err, errNotStored) && b.Revision == 0:
			return errRace // the other's write is on its way through the cluster
		case errors.Is(err, errNotStored):
			return ErrNoBatch
		case err != nil:
			return err
		case m.Seq == b.Revision:
			return errRace
		case unsure && bytes.Equal(m.Data, value):
			b.Revision = m.Seq
			return nil
		}
		return ErrBatchMoved
	})
	if err != nil {
		return fmt.Errorf("write batch %s: %w", b.Object.ID, err)
	}
	return nil
}

// Batch reads a batch from the leader, so that every write acknowledged before is
// seen. The error is ErrNoBatch if the tenant has none of this id.
func (c *Conn) Batch(ctx context.Context, tenant, id string) (*StoredBatch, error) {
	if _, err := parseBatchID(id); err != nil || !validToken(tenant) {
		return nil, fmt.Errorf("read batch: %w", ErrNoBatch)
	}
	m, err := c.leaderGet(ctx, c.n.bucketStream(c.n.batchesBucket()), question{LastFor: c.n.batchKey(tenant, id)})
	if errors.Is(err, errNotStored) || err == nil && m.deleted() {
		return nil, fmt.Errorf("read batch: %w", ErrNoBatch)
	}
	if err != nil {
		return nil, fmt.Errorf("read batch: %w", err)
	}
	b := &StoredBatch{}
	if err := json.Unmarshal(m.Data, b); err != nil {
		return nil, fmt.Errorf("read batch %s: %w", id, err)
	}
	b.Revision = m.Seq
	return b, nil
}

// ListBatches lists a tenant's batches, newest first, beginning behind the one
// named after ("" for the newest); more says that there are others behind the last.
func (c *Conn) ListBatches(ctx context.Context, tenant, after string, limit int) (list []*StoredBatch, more bool, err error) {
	if !validToken(tenant) {
		return nil, false, nil
	}
	ids, err := c.batchIDs(ctx, tenant)
	if err != nil {
		return nil, false, fmt.Errorf("list batches: %w", err)
	}
	for _, id := range ids {
		if after != "" && id >= after {
			continue
		}
		if len(list) == limit {
			return list, true, nil
		}
		b, err := c.Batch(ctx, tenant, id)
		if errors.Is(err, ErrNoBatch) {
			continue // its time was over just now
		}
		if err != nil {
			return nil, false, fmt.Errorf("list batches: %w", err)
		}
		list = append(list, b)
	}
	return list, false, nil
}

// batchIDs returns the ids of a tenant's batches, newest first.
func (c *Conn) batchIDs(ctx context.Context, tenant string) (ids []string, err error) {
	prefix := c.n.batchKey(tenant, "")
	err = c.persist(ctx, "list batches", func(ctx context.Context) error {
		stream, err := c.js.Stream(ctx, c.n.bucketStream(c.n.batchesBucket()))
		if err != nil {
			return err
		}
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter(prefix+"*"))
		if err != nil {
			return err
		}
		ids = ids[:0]
		for subject := range info.State.Subjects {
			ids = append(ids, strings.TrimPrefix(subject, prefix))
		}
		return nil
	})
	slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(b, a) })
	return ids, err
}

// CancelBatch begins to cancel a batch, or finds that this was begun or done
// before, and tells its driver. The error is ErrNoBatch, a *protocol.Error (409) for
// a batch that ended otherwise, or NATS'. It returns the batch as it stands then.
func (c *Conn) CancelBatch(ctx context.Context, tenant, id string) (*StoredBatch, error) {
	for {
		b, err := c.Batch(ctx, tenant, id)
		if err != nil {
			return nil, fmt.Errorf("cancel batch: %w", err)
		}
		changed, err := b.Object.Cancel(time.Now())
		if err != nil || !changed {
			return b, err
		}
		switch err := c.WriteBatch(ctx, b); {
		case errors.Is(err, ErrBatchMoved):
			continue
		case err != nil:
			return nil, fmt.Errorf("cancel batch: %w", err)
		}
		c.wakeDriver(id)
		return b, nil
	}
}

// wakeDriver tells a batch's driver to look at it. It need not arrive: drivers look
// on their own, later.
func (c *Conn) wakeDriver(id string) { _ = c.nc.Publish(c.n.batchWake(id), nil) }

// WatchBatch calls f when a batch may have been changed by somebody else, from a
// goroutine of the connection, until stop is called.
func (c *Conn) WatchBatch(id string, f func()) (stop func(), err error) {
	sub, err := c.nc.Subscribe(c.n.batchWake(id), func(*nats.Msg) { f() })
	if err != nil {
		return nil, fmt.Errorf("watch batch %s: %w", id, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}
