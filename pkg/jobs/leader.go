package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errNotStored says that the leader of a stream has no such message.
var errNotStored = errors.New("not stored")

// stored is a message as a stream's leader returns it.
type stored struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Header  []byte    `json:"hdrs"` // as on the wire
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

// deleted reports whether the message is a bucket's marker for a key that is gone.
func (m *stored) deleted() bool {
	if len(m.Header) == 0 {
		return false
	}
	h, err := nats.DecodeHeadersMsg(m.Header)
	return err == nil && (h.Get("KV-Operation") != "" || h.Get(jetstream.MarkerReasonHeader) != "")
}

// question selects one message of a stream.
type question struct {
	Seq     uint64 `json:"seq,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"` // the first at or after Seq
	Batch   int    `json:"batch,omitempty"`        // of a direct get: so many, and a count of what follows
	Bytes   int    `json:"max_bytes,omitempty"`    // of a batch: no more than so many, but one message

	From *time.Time `json:"start_time,omitempty"` // instead of Seq: with NextFor, the first at or after it
}

// leaderGet reads one message from the stream's leader, which sees every write
// that was acknowledged before; a direct get on a cluster may not. It keeps trying
// while there is no leader, until ctx ends. errNotStored is the leader's word.
func (c *Conn) leaderGet(ctx context.Context, stream string, q question) (*stored, error) {
	req, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("read from %s: %w", stream, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *stored             `json:"message"`
	}
	err = c.persist(ctx, "read from "+stream, func(ctx context.Context) error {
		msg, err := c.nc.RequestWithContext(ctx, c.apiPrefix+"STREAM.MSG.GET."+stream, req)
		if err != nil {
			return err
		}
		answer.Error, answer.Message = nil, nil
		if err := json.Unmarshal(msg.Data, &answer); err != nil {
			return err
		}
		switch {
		case answer.Error == nil && answer.Message == nil:
			return errNotStored
		case answer.Error == nil:
			return nil
		case answer.Error.Code == http.StatusNotFound && answer.Error.ErrorCode != jetstream.JSErrCodeStreamNotFound:
			return errNotStored
		}
		return answer.Error
	})
	if err != nil {
		return nil, fmt.Errorf("read from %s: %w", stream, err)
	}
	return answer.Message, nil
}

// walk calls f for every live key of a bucket, read from the leader. It costs a
// round trip for each key, so it is for people, not for requests.
func (c *Conn) walk(ctx context.Context, bucket string, f func(m *stored) error) error {
	return c.walkKeys(ctx, bucket, ">", f)
}

// walkKeys is walk of the keys that match a filter, such as "acme.*".
func (c *Conn) walkKeys(ctx context.Context, bucket, keys string, f func(m *stored) error) error {
	filter := "$KV." + bucket + "." + keys
	for seq := uint64(1); ; {
		m, err := c.leaderGet(ctx, c.n.bucketStream(bucket), question{Seq: seq, NextFor: filter})
		if errors.Is(err, errNotStored) {
			return nil
		}
		if err != nil {
			return err
		}
		if !m.deleted() {
			if err := f(m); err != nil {
				return err
			}
		}
		seq = m.Seq + 1
	}
}
