package jobs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Job is a chat completion request in the queue.
type Job struct {
	ID          ID
	Tenant      string // who pays
	Key         string // id of the API key, for the usage record
	Model       string // as the client named it
	Pool        string // whose workers serve the model
	Class       Class
	Stream      bool          // the client reads a stream: text that left cannot be taken back
	ServiceTier string        // answered to the client; "" for none
	Created     int64         // unix seconds, the answer's "created"
	Timeout     time.Duration // since the broker stored the job; 0 is no deadline
	RequestID   string        // the client's own, for logs
	Body        []byte        // the request, validated JSON
}

// jobVersion is the first byte of every job message.
const jobVersion = 1

// jobHeader travels before the body. Members may be added; unknown ones are ignored.
type jobHeader struct {
	ID          string   `json:"id"`
	Frontend    string   `json:"frontend"`
	Tenant      string   `json:"tenant"`
	Key         string   `json:"key,omitzero"`
	Model       string   `json:"model"`
	Pool        string   `json:"pool"`
	Class       string   `json:"class"`
	Stream      bool     `json:"stream,omitzero"`
	ServiceTier string   `json:"tier,omitzero"`
	Created     int64    `json:"created"`
	TimeoutMS   int64    `json:"timeout_ms,omitzero"`
	RequestID   string   `json:"request_id,omitzero"`
	BodyRef     *bodyRef `json:"body_ref,omitzero"` // the body when it is not in the message
}

// encodeJob appends the message of a job: version, header length, header, body.
// With a reference the body stays out.
func encodeJob(dst []byte, frontend string, j *Job, ref *bodyRef) ([]byte, error) {
	h := jobHeader{
		ID: j.ID.String(), Frontend: frontend, Tenant: j.Tenant, Key: j.Key, Model: j.Model, Pool: j.Pool,
		Class: j.Class.String(), Stream: j.Stream, ServiceTier: j.ServiceTier, Created: j.Created,
		TimeoutMS: j.Timeout.Milliseconds(), RequestID: j.RequestID, BodyRef: ref,
	}
	header, err := json.Marshal(&h)
	if err != nil {
		return nil, fmt.Errorf("encode job header: %w", err)
	}
	dst = append(dst, jobVersion)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(header)))
	dst = append(dst, header...)
	if ref == nil {
		dst = append(dst, j.Body...)
	}
	return dst, nil
}

var errBadJob = errors.New("not a job message")

// decodeJob reads a job message. The job's body is a part of b, or nil when the
// returned reference says where it is.
func decodeJob(b []byte) (j *Job, frontend string, ref *bodyRef, err error) {
	if len(b) < 5 || b[0] != jobVersion {
		return nil, "", nil, errBadJob
	}
	n := binary.LittleEndian.Uint32(b[1:])
	if uint64(n) > uint64(len(b)-5) {
		return nil, "", nil, errBadJob
	}
	var h jobHeader
	if err := json.Unmarshal(b[5:5+n], &h); err != nil {
		return nil, "", nil, fmt.Errorf("decode job header: %w", err)
	}
	id, err := ParseID(h.ID)
	if err != nil {
		return nil, "", nil, fmt.Errorf("decode job header: %w", err)
	}
	class, err := ParseClass(h.Class)
	if err != nil {
		return nil, "", nil, fmt.Errorf("decode job header: %w", err)
	}
	j = &Job{
		ID: id, Tenant: h.Tenant, Key: h.Key, Model: h.Model, Pool: h.Pool, Class: class, Stream: h.Stream,
		ServiceTier: h.ServiceTier, Created: h.Created, Timeout: time.Duration(h.TimeoutMS) * time.Millisecond,
		RequestID: h.RequestID,
	}
	if h.BodyRef == nil {
		j.Body = b[5+n:]
	}
	return j, h.Frontend, h.BodyRef, nil
}
