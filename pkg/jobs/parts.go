package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
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
// of loadParts means that NATS could not be asked.
var errBodyGone = errors.New("body is gone")

// bodyRef says where the parts of a body too large for one message are.
type bodyRef struct {
	Size int64
	Sum  uint64   // CRC-64 (ECMA) of the whole body
	Seqs []uint64 // of the parts in their stream, in order
	Kept bool     `json:",omitempty"` // of a request: the parts are in the stream of kept jobs
}

// partSize returns how large a part may be on this server.
func (c *Conn) partSize() int {
	const headers = 1 << 10 // what a read adds to a part
	return min(maxPart, max(int(c.nc.MaxPayload())-headers, 1<<10))
}

// storeParts stores body under the subjects that name gives and returns where the
// parts are, once all of them are acknowledged. After an error some may be left
// behind. A ttl of 0 is the stream's.
func (c *Conn) storeParts(ctx context.Context, stream string, body []byte, ttl time.Duration, name func(part int) string) (bodyRef, error) {
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
			ref.Seqs[i], err = c.storePart(ctx, stream, name(i), part, ttl)
			return err
		})
	}
	return ref, group.Wait()
}

// storePart stores one part and returns where it is. What has a name is the same
// whoever stores it: the first copy stays, and others refer to that.
func (c *Conn) storePart(ctx context.Context, stream, subject string, part []byte, ttl time.Duration) (seq uint64, err error) {
	options := []jetstream.PublishOpt{jetstream.WithExpectStream(stream), jetstream.WithExpectLastSequencePerSubject(0)}
	if ttl > 0 {
		options = append(options, jetstream.WithMsgTTL(ttl))
	}
	err = c.persistWrite(ctx, "store body", func(ctx context.Context) error {
		ack, err := c.js.Publish(ctx, subject, part, options...)
		switch {
		case err == nil:
			seq = ack.Sequence
			return nil
		case !refusedAsTaken(err):
			return err
		}
		m, err := c.leaderGet(ctx, stream, question{LastFor: subject})
		if errors.Is(err, errNotStored) {
			return errRace
		}
		if err == nil {
			seq = m.Seq
		}
		return err
	})
	return seq, err
}

// loadParts reads a body back, however large; its owner bounds what is stored. The
// error is errBodyGone if it is no longer there.
func (c *Conn) loadParts(ctx context.Context, stream string, ref bodyRef) ([]byte, error) {
	if ref.Size < 0 || len(ref.Seqs) > int(ref.Size) {
		return nil, fmt.Errorf("load body: reference to %d bytes in %d parts: %w", ref.Size, len(ref.Seqs), errBodyGone)
	}
	body := make([]byte, 0, min(ref.Size, int64(len(ref.Seqs))*maxPart))
	for seqs := range slices.Chunk(ref.Seqs, partsInFlight) {
		parts, err := c.loadSome(ctx, stream, seqs)
		if err != nil {
			return nil, fmt.Errorf("load body: %w", err)
		}
		for _, p := range parts {
			if int64(len(body)+len(p)) > ref.Size {
				return nil, fmt.Errorf("load body: longer than stored: %w", errBodyGone)
			}
			body = append(body, p...)
		}
	}
	if int64(len(body)) != ref.Size || crc64.Checksum(body, crc64.MakeTable(crc64.ECMA)) != ref.Sum {
		return nil, fmt.Errorf("load body: not what was stored: %w", errBodyGone)
	}
	return body, nil
}

// loadSome reads the messages at seqs, partsInFlight at most, side by side.
func (c *Conn) loadSome(ctx context.Context, stream string, seqs []uint64) ([partsInFlight][]byte, error) {
	var parts [partsInFlight][]byte
	group, ctx := errgroup.WithContext(ctx)
	for i, seq := range seqs {
		group.Go(func() (err error) {
			parts[i], err = c.loadPart(ctx, stream, seq)
			return err
		})
	}
	return parts, group.Wait()
}

// loadPart reads the message at seq. A sequence number never changes its content,
// so any replica's copy will do and is read without the leader's base64; but only
// the leader's word counts for "not there", since a replica may lag behind.
func (c *Conn) loadPart(ctx context.Context, stream string, seq uint64) ([]byte, error) {
	req, err := json.Marshal(question{Seq: seq})
	if err != nil {
		return nil, err
	}
	direct, cancel := context.WithTimeout(ctx, time.Second)
	msg, err := c.nc.RequestWithContext(direct, c.apiPrefix+"DIRECT.GET."+stream, req)
	cancel()
	if err == nil && msg.Header.Get("Status") == "" && msg.Header.Get(nats.JSStream) == stream {
		return msg.Data, nil
	}
	m, err := c.leaderGet(ctx, stream, question{Seq: seq})
	if errors.Is(err, errNotStored) {
		return nil, errBodyGone
	}
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

// purge removes every message of the filter; it is no error if there is none.
func (c *Conn) purge(ctx context.Context, stream, filter string) error {
	req, err := json.Marshal(struct {
		Filter string `json:"filter"`
	}{filter})
	if err != nil {
		return fmt.Errorf("purge %s: %w", stream, err)
	}
	err = c.persist(ctx, "purge "+stream, func(ctx context.Context) error {
		msg, err := c.nc.RequestWithContext(ctx, c.apiPrefix+"STREAM.PURGE."+stream, req)
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
		return fmt.Errorf("purge %s: %w", stream, err)
	}
	return nil
}
