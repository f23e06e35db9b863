package protocol

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

const (
	// MaxBatchRequests is how many requests a batch may have.
	MaxBatchRequests = 50_000
	// MaxBatchBytes is how large the input of a batch may be.
	MaxBatchBytes = 200 << 20
	// MaxBatchFaults is how many faults of an input are told, its first ones.
	MaxBatchFaults = 100
	// batchEnvelope is room for what stands around the body in a line.
	batchEnvelope = 64 << 10
)

// BatchCheck says what the input of a batch may be. The zero value of each field
// but Endpoint is usable.
type BatchCheck struct {
	Endpoint string
	MaxBody  int64                   // bytes of one request; 0: 32 MiB
	Mixed    bool                    // several models in one file are fine
	Serves   func(model string) bool // nil: every model
}

// BatchSummary is what a check found.
type BatchSummary struct {
	Requests int
	Model    string       // of every request; "" if there are several, or none is known
	Faults   []BatchFault // in the order of their lines, the first 100; none: the input is good
}

// Read reads the whole input once and holds one line of it at a time. It calls
// each, if not nil, for every line without a fault; the line's parts are valid
// during the call only. The error is that of r or of each, which ends the reading.
func (c BatchCheck) Read(r io.Reader, each func(BatchLine) error) (BatchSummary, error) {
	if c.MaxBody == 0 {
		c.MaxBody = 32 << 20
	}
	lines := newLineReader(r, int(c.MaxBody)+batchEnvelope)
	state := batchChecker{BatchCheck: c, ids: make(map[idSum]struct{})}
	for {
		raw, err := lines.next()
		if errors.Is(err, io.EOF) {
			return state.summary(), nil
		}
		if err != nil {
			return BatchSummary{}, fmt.Errorf("read batch input: %w", err)
		}
		if state.requests++; state.requests > MaxBatchRequests {
			return BatchSummary{Requests: state.requests, Faults: []BatchFault{faultTooMany()}}, nil
		}
		if len(state.faults) == MaxBatchFaults {
			continue // counted, no more
		}
		line, fault := state.check(raw)
		if fault != nil {
			fault.Line = raw.number
			state.faults = append(state.faults, *fault)
			continue
		}
		if each == nil {
			continue
		}
		if err := each(line); err != nil {
			return BatchSummary{}, err
		}
	}
}

// idSum stands for a custom_id: its length is the client's affair.
type idSum [16]byte

// batchChecker is the state of one reading.
type batchChecker struct {
	BatchCheck
	ids      map[idSum]struct{}
	faults   []BatchFault
	requests int
	model    string // of the first line that says one
	several  bool
}

func (c *batchChecker) check(raw rawLine) (BatchLine, *BatchFault) {
	if raw.cut {
		return BatchLine{}, c.faultTooLong(raw.text)
	}
	line, fault := ParseBatchLine(raw.text, c.Endpoint)
	if fault == nil {
		fault = c.checkModel(line.Model)
	}
	if len(line.CustomID) > 0 && line.CustomID[0] == '"' {
		if again := c.checkID(line.CustomID); fault == nil {
			fault = again
		}
	}
	line.Number, line.Offset, line.Length = raw.number, raw.offset, len(raw.text)
	return line, fault
}

// checkModel checks the model of a line, "" if it is no string, which is that line's
// own fault.
func (c *batchChecker) checkModel(model string) *BatchFault {
	switch {
	case model == "":
		return nil
	case c.Serves != nil && !c.Serves(model):
		return &BatchFault{
			Code: "model_not_found", Param: "body.model",
			Message: "The provided model '" + shorten(model) + "' is not supported by the Batch API.",
		}
	case c.model == "":
		c.model = model
	case model == c.model:
	case c.Mixed:
		c.several = true
	default:
		return &BatchFault{
			Code: "mismatched_model", Param: "body.model",
			Message: "The model '" + shorten(model) + "' for this request does not match the rest of the batch. " +
				"Each batch must contain requests for a single model.",
		}
	}
	return nil
}

// checkID notes a custom_id, those of faulty lines too.
func (c *batchChecker) checkID(quoted []byte) *BatchFault {
	id := unquoted(quoted)
	sum := sha256.Sum256(id)
	key := idSum(sum[:len(idSum{})])
	if _, taken := c.ids[key]; taken {
		return &BatchFault{
			Code: "duplicate_custom_id", Param: "custom_id",
			Message: "The custom_id '" + shorten(string(id[:min(len(id), 1024)])) + "' for this request is a duplicate of another request. " +
				"The custom_id parameter must be unique for each request in a batch.",
		}
	}
	c.ids[key] = struct{}{}
	return nil
}

func (c *batchChecker) summary() BatchSummary {
	s := BatchSummary{Requests: c.requests, Model: c.model, Faults: c.faults}
	if c.several {
		s.Model = ""
	}
	if c.requests == 0 {
		s.Faults = []BatchFault{{
			Code:    "empty_file",
			Message: "The input file is empty. Please ensure that the batch contains at least one request.",
		}}
	}
	return s
}

// faultTooLong says that a line is longer than any request may be. What does not
// even begin as an object is no request.
func (c *batchChecker) faultTooLong(begin []byte) *BatchFault {
	if i := scanBlank(begin, 0); i < len(begin) && begin[i] != '{' {
		return &BatchFault{Code: "invalid_json_line", Message: "This line is not parseable as valid JSON."}
	}
	return &BatchFault{Code: "invalid_request", Param: "body", Message: ErrBodyTooLarge(c.MaxBody).Message}
}

func faultTooMany() BatchFault {
	return BatchFault{
		Code:    "too_many_tasks",
		Message: fmt.Sprintf("The batch contains too many requests: the limit is %d.", MaxBatchRequests),
	}
}

// faultLostInput says that the input of a batch, which was there, is no more.
func faultLostInput(file string) BatchFault {
	return BatchFault{
		Code: "invalid_request", Param: "file_id",
		Message: "The content of file " + shorten(file) + " was lost while the batch ran. Upload it again and create a new batch.",
	}
}

// FaultNoInput says that the input file of a batch is not there for its owner.
func FaultNoInput(file, owner string) BatchFault {
	return BatchFault{
		Code: "invalid_request", Param: "file_id",
		Message: "Cannot find file " + shorten(file) + ", or organization " + owner + " does not have access to it.",
	}
}
