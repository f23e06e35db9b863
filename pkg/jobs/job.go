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

// Fields of a job's header.
const (
	jobID       = 1
	jobFrontend = 2
	jobTenant   = 3
	jobKey      = 4
	jobModel    = 5
	jobPool     = 6
	jobClass    = 7
	jobStream   = 8
	jobTier     = 9
	jobCreated  = 10
	jobTimeout  = 11 // microseconds
	jobRequest  = 12
	jobBodyRef  = 13 // where the body is, when it is not in the message
)

// encodeJob appends the message of a job: version, header length, header, body.
// With a reference the body stays out.
func encodeJob(dst []byte, frontend string, j *Job, ref *bodyRef) ([]byte, error) {
	start := len(dst)
	dst = append(dst, jobVersion, 0, 0, 0, 0)
	dst = appendText(dst, jobID, string(j.ID[:]))
	dst = appendText(dst, jobFrontend, frontend)
	dst = appendText(dst, jobTenant, j.Tenant)
	dst = appendText(dst, jobKey, j.Key)
	dst = appendText(dst, jobModel, j.Model)
	dst = appendText(dst, jobPool, j.Pool)
	dst = appendText(dst, jobClass, j.Class.String())
	if j.Stream {
		dst = appendNumber(dst, jobStream, 1)
	}
	dst = appendText(dst, jobTier, j.ServiceTier)
	dst = appendNumber(dst, jobCreated, j.Created)
	dst = appendNumber(dst, jobTimeout, j.Timeout.Microseconds())
	dst = appendText(dst, jobRequest, j.RequestID)
	if ref != nil {
		where, err := json.Marshal(ref)
		if err != nil {
			return nil, fmt.Errorf("encode job header: %w", err)
		}
		dst = appendText(dst, jobBodyRef, string(where))
	}
	binary.LittleEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-5))
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
	header, body := b[5:5+n], b[5+n:]
	j = &Job{}
	var class, where string
	err = fields(header, func(tag byte, v []byte) {
		switch tag {
		case jobID:
			copy(j.ID[:], v)
		case jobFrontend:
			frontend = string(v)
		case jobTenant:
			j.Tenant = string(v)
		case jobKey:
			j.Key = string(v)
		case jobModel:
			j.Model = string(v)
		case jobPool:
			j.Pool = string(v)
		case jobClass:
			class = string(v)
		case jobStream:
			j.Stream = true
		case jobTier:
			j.ServiceTier = string(v)
		case jobCreated:
			j.Created = number[int64](v)
		case jobTimeout:
			j.Timeout = time.Duration(number[int64](v)) * time.Microsecond
		case jobRequest:
			j.RequestID = string(v)
		case jobBodyRef:
			where = string(v)
		}
	})
	if err != nil {
		return nil, "", nil, fmt.Errorf("decode job header: %w", err)
	}
	if j.Class, err = ParseClass(class); err != nil {
		return nil, "", nil, fmt.Errorf("decode job header: %w", err)
	}
	if j.ID.IsZero() || !validToken(frontend) || !validToken(j.Tenant) {
		return nil, "", nil, errBadJob
	}
	if where == "" {
		j.Body = body
		return j, frontend, nil, nil
	}
	ref = &bodyRef{}
	if err := json.Unmarshal([]byte(where), ref); err != nil {
		return nil, "", nil, fmt.Errorf("decode job header: %w", err)
	}
	return j, frontend, ref, nil
}
