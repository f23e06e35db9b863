package jobs

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/protocol"
)

// ErrNotKept says that nothing is kept under an id for this tenant: it never was,
// its time is over, or it was deleted.
var ErrNotKept = errors.New("not kept")

// ResultStatus says how a kept job ended. The values are stored: none may change.
type ResultStatus uint8

// The ways a kept job can end.
const (
	Completed ResultStatus = 1
	Errored   ResultStatus = 2
	Cancelled ResultStatus = 3
	Deleted   ResultStatus = 4 // nothing but the memory that it was there
)

// Result is the end of a kept job. The first one that is stored stands.
type Result struct {
	Status         ResultStatus
	Error          *protocol.Error // of Errored; why a line did not run, of one that is Cancelled
	Outcome        Outcome
	Worker         string // that ran the last attempt; "" if none did
	Attempt        uint32
	Started, Ended time.Time
	Events         uint64 // number of the last stored event; 0 if none can be replayed
	Body           []byte // the completion, JSON
}

const resultVersion = 1

// Fields of a result's header.
const (
	resultStatus  = 1
	resultError   = 2
	resultOutcome = 3
	resultWorker  = 4
	resultAttempt = 5
	resultStarted = 6 // unix milliseconds
	resultEnded   = 7
	resultEvents  = 8
	resultBodyRef = 9 // where the body is, when it is not in the message
)

// encodeResult appends version, header length, header, body; with a reference the
// body stays out.
func encodeResult(dst []byte, r *Result, ref *bodyRef) ([]byte, error) {
	start := len(dst)
	dst = append(dst, resultVersion, 0, 0, 0, 0)
	dst = appendNumber(dst, resultStatus, uint64(r.Status))
	if r.Error != nil {
		failure, err := r.Error.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("encode result: %w", err)
		}
		dst = appendText(dst, resultError, string(failure))
	}
	dst = appendText(dst, resultOutcome, string(r.Outcome.encode(nil)))
	dst = appendText(dst, resultWorker, r.Worker)
	dst = appendNumber(dst, resultAttempt, uint64(r.Attempt))
	for tag, at := range map[byte]time.Time{resultStarted: r.Started, resultEnded: r.Ended} {
		if !at.IsZero() {
			dst = appendNumber(dst, tag, at.UnixMilli())
		}
	}
	dst = appendNumber(dst, resultEvents, r.Events)
	if ref != nil {
		where, err := json.Marshal(ref)
		if err != nil {
			return nil, fmt.Errorf("encode result: %w", err)
		}
		dst = appendText(dst, resultBodyRef, string(where))
	}
	binary.LittleEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-5))
	if ref == nil {
		dst = append(dst, r.Body...)
	}
	return dst, nil
}

var errBadResult = errors.New("not a result")

// decodeResult reads a result. Its body is a part of b, or nil when the returned
// reference says where it is.
func decodeResult(b []byte) (r *Result, ref *bodyRef, err error) {
	if len(b) < 5 || b[0] != resultVersion {
		return nil, nil, errBadResult
	}
	n := binary.LittleEndian.Uint32(b[1:])
	if uint64(n) > uint64(len(b)-5) {
		return nil, nil, errBadResult
	}
	r = &Result{}
	var bad error
	err = fields(b[5:5+n], func(tag byte, v []byte) {
		var err error
		switch tag {
		case resultStatus:
			r.Status = ResultStatus(number[uint64](v))
		case resultError:
			r.Error, err = protocol.DecodeError(v)
		case resultOutcome:
			r.Outcome, err = Event{Kind: Done, Data: v}.Done()
		case resultWorker:
			r.Worker = string(v)
		case resultAttempt:
			r.Attempt = uint32(number[uint64](v))
		case resultStarted:
			r.Started = time.UnixMilli(number[int64](v)).UTC()
		case resultEnded:
			r.Ended = time.UnixMilli(number[int64](v)).UTC()
		case resultEvents:
			r.Events = number[uint64](v)
		case resultBodyRef:
			ref = &bodyRef{}
			err = json.Unmarshal(v, ref)
		}
		bad = errors.Join(bad, err)
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, nil, fmt.Errorf("decode result: %w", err)
	}
	if r.Status < Completed || r.Status > Deleted {
		return nil, nil, errBadResult
	}
	if ref == nil {
		r.Body = b[5+n:]
	}
	return r, ref, nil
}

// PutResult stores a result if there is none yet, and reports whether it did: the
// first one stands, and won is false for any other. A ttl above 0 ends it earlier
// than Config.KeepResults. It keeps trying while NATS is away, until ctx ends; a
// server that has no room for ten seconds, as with a full disk, is an error.
func (c *Conn) PutResult(ctx context.Context, tenant, group, name string, r *Result, ttl time.Duration) (won bool, err error) {
	var ref *bodyRef
	writer := NewID()
	if int64(len(r.Body)) > c.nc.MaxPayload()-inlineMargin {
		where, err := c.storeParts(ctx, c.n.resultsStream(), r.Body, ttl,
			func(part int) string { return c.n.resultPart(tenant, group, name, writer, part) })
		if err != nil {
			return false, fmt.Errorf("store result: %w", err)
		}
		ref = &where
	}
	data, err := encodeResult(make([]byte, 0, 256+len(r.Body)), r, ref)
	if err != nil {
		return false, err
	}
	won, err = c.putFirst(ctx, "store result", c.n.resultsStream(), first(labelled(c.n.result(tenant, group, name), data, resultLabel(r.Status)), ttl))
	if err != nil {
		return false, fmt.Errorf("store result: %w", err)
	}
	if ref != nil && !won {
		err = c.purge(ctx, c.n.resultsStream(), c.n.result(tenant, group, name)+"."+writer.String()+".*")
	}
	return won, err
}

// first makes m a message that is stored only if its subject has nothing yet. A ttl
// above 0 says when it ends.
func first(m *nats.Msg, ttl time.Duration) *nats.Msg {
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
	if ttl > 0 {
		m.Header.Set(jetstream.MsgTTLHeader, ttl.String())
	}
	return m
}

// putFirst stores m, which first made, and reports whether it did. A refusal counts
// once the leader has shown what is there; when an answer was lost, the same bytes are
// its own.
func (c *Conn) putFirst(ctx context.Context, what, stream string, m *nats.Msg) (won bool, err error) {
	unsure := m.Reply != "" // it was sent before
	err = c.persistWrite(ctx, what, func(ctx context.Context) error {
		err := c.acks.store(ctx, m)
		switch {
		case err == nil:
			won = true
			return nil
		case !refusedAsTaken(err):
			unsure = true
			return err
		}
		there, err := c.leaderGet(ctx, stream, question{LastFor: m.Subject})
		if errors.Is(err, errNotStored) {
			return errRace // the other write failed, or is not done
		}
		won = err == nil && unsure && bytes.Equal(there.Data, m.Data)
		return err
	})
	return won, err
}

// refusedAsTaken tells a conditional write that came second. A cluster has a code
// of its own for one that another was faster than just now.
func refusedAsTaken(err error) bool {
	return hasCode(err, jetstream.JSErrCodeStreamWrongLastSequence) || hasCode(err, jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// Result reads a result from the leader, so one that was stored is seen. The error
// is ErrNotKept if there is none; a deleted one is returned as such.
func (c *Conn) Result(ctx context.Context, tenant, group, name string) (*Result, error) {
	m, err := c.leaderGet(ctx, c.n.resultsStream(), question{LastFor: c.n.result(tenant, group, name)})
	if errors.Is(err, errNotStored) {
		return nil, ErrNotKept
	}
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	return c.openResult(ctx, m.Data)
}

// openResult decodes a stored result and fetches a body that is elsewhere.
func (c *Conn) openResult(ctx context.Context, data []byte) (*Result, error) {
	r, ref, err := decodeResult(data)
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	if ref != nil {
		if r.Body, err = c.loadParts(ctx, c.n.resultsStream(), *ref); err != nil {
			return nil, fmt.Errorf("read result: %w", err)
		}
	}
	return r, nil
}
