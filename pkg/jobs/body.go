package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	// maxPart keeps a part, its subject and the headers of a read below NATS'
	// default limit for one message, 1 MiB.
	maxPart = 900 << 10
	// partsInFlight bounds what one body puts on the connection at a time.
	partsInFlight = 8
)

// errBodyGone says that a body's parts are no longer stored, or are not what was
// stored: it expired or was deleted, and no retry brings it back. Any other error
// of loadBody means that NATS could not be asked.
var errBodyGone = errors.New("request body is gone")

// bodyRef says where the parts of a large body are. It travels inside the job.
type bodyRef struct {
	Size int64
	Sum  uint64   // CRC-64 (ECMA) of the whole body
	Seqs []uint64 // of the parts in the bodies stream, in order
}

// partSize returns how large a part may be on this server.
func (c *Conn) partSize() int {
	const headers = 1 << 10 // what a read adds to a part
	return min(maxPart, max(int(c.nc.MaxPayload())-headers, 1<<10))
}

// storeBody stores body in parts and returns where they are, once all of them are
// acknowledged. Its error is a *protocol.Error: 413 above the limit, 503 while the
// stream is full or NATS is away. Nothing is left behind after an error, except
// what the stream's age limit sweeps.
func (c *Conn) storeBody(ctx context.Context, id ID, body []byte) (bodyRef, error) {
	if int64(len(body)) > c.cfg.MaxBody {
		return bodyRef{}, protocol.ErrBodyTooLarge(c.cfg.MaxBody)
	}
	size := c.partSize()
	ref := bodyRef{
		Size: int64(len(body)),
		Sum:  crc64.Checksum(body, crc64.MakeTable(crc64.ECMA)),
		Seqs: make([]uint64, (len(body)+size-1)/size),
	}
	// One refused part does not cancel the others: a publish given up midway could
	// be stored after the sweep.
	var group errgroup.Group
	group.SetLimit(partsInFlight)
	for i := range ref.Seqs {
		part := body[i*size : min((i+1)*size, len(body))]
		group.Go(func() (err error) {
			ref.Seqs[i], err = c.storePart(ctx, c.n.body(id, i), part)
			return err
		})
	}
	err := group.Wait()
	if err == nil {
		return ref, nil
	}
	c.sweepBody(ctx, id)
	err = fmt.Errorf("store body: %w", err)
	if hasCode(err, codeStreamFull) {
		return bodyRef{}, protocol.ErrOverloaded(5 * time.Second).Wrap(err)
	}
	return bodyRef{}, protocol.ErrUnavailable("The queue cannot store this request now, please try again later", time.Second).Wrap(err)
}

// sweepBody removes what was stored of a refused body. Without a connection it
// does not even try: the client is waiting for its refusal.
func (c *Conn) sweepBody(ctx context.Context, id ID) {
	if !c.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	defer cancel()
	if err := c.deleteBody(ctx, id); err != nil {
		c.log.Warn("parts of a refused body stay until they expire", "job_id", id.String(), "error", err)
	}
}

// storePart publishes one part until it is acknowledged. A repeated publish may
// leave a second copy; the reference names the acknowledged one, and deleting goes
// by subject.
func (c *Conn) storePart(ctx context.Context, subject string, part []byte) (seq uint64, err error) {
	err = c.persist(ctx, "store body", func(ctx context.Context) error {
		ack, err := c.js.Publish(ctx, subject, part, jetstream.WithExpectStream(c.n.bodiesStream()))
		if err == nil {
			seq = ack.Sequence
		}
		return err
	})
	return seq, err
}

// loadBody reads a body back. The error is errBodyGone if it is no longer there.
func (c *Conn) loadBody(ctx context.Context, ref bodyRef) ([]byte, error) {
	if ref.Size < 0 || ref.Size > c.cfg.MaxBody || len(ref.Seqs) > int(ref.Size) {
		return nil, fmt.Errorf("load body: reference to %d bytes in %d parts: %w", ref.Size, len(ref.Seqs), errBodyGone)
	}
	parts := make([][]byte, len(ref.Seqs))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(partsInFlight)
	for i, seq := range ref.Seqs {
		group.Go(func() (err error) {
			parts[i], err = c.loadPart(gctx, seq)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("load body: %w", err)
	}
	body := make([]byte, 0, ref.Size)
	for _, p := range parts {
		if int64(len(body)+len(p)) > ref.Size {
			return nil, fmt.Errorf("load body: longer than stored: %w", errBodyGone)
		}
		body = append(body, p...)
	}
	if int64(len(body)) != ref.Size || crc64.Checksum(body, crc64.MakeTable(crc64.ECMA)) != ref.Sum {
		return nil, fmt.Errorf("load body: not what was stored: %w", errBodyGone)
	}
	return body, nil
}

// loadPart reads the message at seq. A sequence number never changes its content,
// so any replica's copy will do and is read without the leader's base64; but only
// the leader's word counts for "not there", since a replica may lag behind.
func (c *Conn) loadPart(ctx context.Context, seq uint64) ([]byte, error) {
	req, err := json.Marshal(question{Seq: seq})
	if err != nil {
		return nil, err
	}
	direct, cancel := context.WithTimeout(ctx, time.Second)
	msg, err := c.nc.RequestWithContext(direct, c.apiPrefix+"DIRECT.GET."+c.n.bodiesStream(), req)
	cancel()
	if err == nil && msg.Header.Get("Status") == "" && msg.Header.Get(nats.JSStream) == c.n.bodiesStream() {
		return msg.Data, nil
	}
	m, err := c.leaderGet(ctx, c.n.bodiesStream(), question{Seq: seq})
	if errors.Is(err, errNotStored) {
		return nil, errBodyGone
	}
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

// deleteBody removes every part of the job's body; it is no error if there is none.
func (c *Conn) deleteBody(ctx context.Context, id ID) error {
	req, err := json.Marshal(struct {
		Filter string `json:"filter"`
	}{c.n.bodyParts(id)})
	if err != nil {
		return fmt.Errorf("delete body: %w", err)
	}
	err = c.persist(ctx, "delete body", func(ctx context.Context) error {
		msg, err := c.nc.RequestWithContext(ctx, c.apiPrefix+"STREAM.PURGE."+c.n.bodiesStream(), req)
		if err != nil {
			return err
		}
		var answer struct {
			Error *jetstream.APIError `json:"error"`
		}
		if err := json.Unmarshal(msg.Data, &answer); err != nil {
			return err
		}
		if answer.Error != nil {
			return answer.Error
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete body: %w", err)
	}
	return nil
}
