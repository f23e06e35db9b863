package jobs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
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
	Keep        *Keep         // nil: a plain job, which belongs to its connection
}

// Keep says that a job outlives whoever asked for it.
type Keep struct {
	Hidden     bool              // kept only to be joined by its idempotency key: not listed, for claimAge
	Background bool              // answered before it runs: its events have no reader
	Repeat     bool              // it may have been submitted before: the worker looks for a result first
	Metadata   map[string]string // as created
	Batch      string            // the batch of which it is a line; "" for a completion
	Line       int               // the line's number, from 1
}

// resultName returns group and name of a kept job's result.
func (j *Job) resultName() (group, name string) {
	if j.Keep.Batch != "" {
		return j.Keep.Batch, strconv.Itoa(j.Keep.Line)
	}
	return hourOf(j.ID), j.ID.String()
}

// keptTTL is how long a job and its result are kept, if shorter than others; else 0.
func (j *Job) keptTTL() time.Duration {
	if j.Keep != nil && j.Keep.Hidden {
		return claimAge
	}
	return 0
}

// isLine reports whether the job is a line of a batch.
func (j *Job) isLine() bool { return j.Keep != nil && j.Keep.Batch != "" }

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
	jobKeep     = 14 // flags; a plain job has none
	jobMetadata = 15 // JSON
	jobBatch    = 16
	jobLine     = 17
)

// Flags of jobKeep.
const (
	keepAtAll = 1 << iota
	keepHidden
	keepBackground
	keepRepeat
)

// appendKeep appends the fields of a kept job.
func appendKeep(dst []byte, k *Keep) ([]byte, error) {
	if k == nil {
		return dst, nil
	}
	flags := uint64(keepAtAll)
	for flag, set := range map[uint64]bool{keepHidden: k.Hidden, keepBackground: k.Background, keepRepeat: k.Repeat} {
		if set {
			flags |= flag
		}
	}
	dst = appendNumber(dst, jobKeep, flags)
	if len(k.Metadata) > 0 {
		text, err := json.Marshal(k.Metadata, json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("encode job metadata: %w", err)
		}
		dst = appendText(dst, jobMetadata, string(text))
	}
	dst = appendText(dst, jobBatch, k.Batch)
	return appendNumber(dst, jobLine, k.Line), nil
}

// takeKeep reads a field of a kept job.
func (j *Job) takeKeep(tag byte, v string) error {
	if j.Keep == nil {
		j.Keep = &Keep{}
	}
	switch tag {
	case jobKeep:
		flags := number[uint64](v)
		j.Keep.Hidden, j.Keep.Background, j.Keep.Repeat = flags&keepHidden != 0, flags&keepBackground != 0, flags&keepRepeat != 0
	case jobMetadata:
		return json.Unmarshal([]byte(v), &j.Keep.Metadata)
	case jobBatch:
		j.Keep.Batch = v
	case jobLine:
		j.Keep.Line = number[int](v)
	}
	return nil
}

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
	dst, err := appendKeep(dst, j.Keep)
	if err != nil {
		return nil, err
	}
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
	var badKeep error
	err = fields(string(header), func(tag byte, v string) {
		switch tag {
		case jobID:
			copy(j.ID[:], v)
		case jobFrontend:
			frontend = v
		case jobTenant:
			j.Tenant = v
		case jobKey:
			j.Key = v
		case jobModel:
			j.Model = v
		case jobPool:
			j.Pool = v
		case jobClass:
			class = v
		case jobStream:
			j.Stream = true
		case jobTier:
			j.ServiceTier = v
		case jobCreated:
			j.Created = number[int64](v)
		case jobTimeout:
			j.Timeout = time.Duration(number[int64](v)) * time.Microsecond
		case jobRequest:
			j.RequestID = v
		case jobBodyRef:
			where = v
		case jobKeep, jobMetadata, jobBatch, jobLine:
			badKeep = errors.Join(badKeep, j.takeKeep(tag, v))
		}
	})
	if err = errors.Join(err, badKeep); err != nil {
		return nil, "", nil, fmt.Errorf("decode job header: %w", err)
	}
	if j.Class, err = ParseClass(class); err != nil {
		return nil, "", nil, fmt.Errorf("decode job header: %w", err)
	}
	if j.ID.IsZero() || !validToken(frontend) || !validToken(j.Tenant) || j.isLine() && !validToken(j.Keep.Batch) {
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
