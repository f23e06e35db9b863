package protocol

import "strconv"

// BatchStatus is where a batch stands. It changes along these arrows only, and an
// ended batch never changes again:
//
//	validating ─► failed
//	validating ─► in_progress ─► finalizing ─► completed
//	in_progress ─► expired
//	validating, in_progress, finalizing ─► cancelling ─► cancelled
//	in_progress, finalizing, cancelling ─► failed, if its input was lost under it
type BatchStatus string

// The statuses of a batch.
const (
	BatchValidating BatchStatus = "validating"
	BatchFailed     BatchStatus = "failed"
	BatchInProgress BatchStatus = "in_progress"
	BatchFinalizing BatchStatus = "finalizing"
	BatchCompleted  BatchStatus = "completed"
	BatchExpired    BatchStatus = "expired"
	BatchCancelling BatchStatus = "cancelling"
	BatchCancelled  BatchStatus = "cancelled"
)

// Ended reports whether a batch of this status never changes again.
func (s BatchStatus) Ended() bool {
	switch s {
	case BatchFailed, BatchCompleted, BatchExpired, BatchCancelled:
		return true
	}
	return false
}

// Ends reports whether a batch of this status runs no line any more.
func (s BatchStatus) Ends() bool {
	return s == BatchCancelling || s == BatchFinalizing || s.Ended()
}

// ChatEndpoint is the one endpoint that lines of a batch may call.
const ChatEndpoint = "/v1/chat/completions"

// Batch is the batch object of the API. Times are Unix seconds, 0 for not yet; an
// empty string, a nil slice and a nil pointer are sent as null. The tags are those
// of its stored form; what a client gets is AppendJSON.
type Batch struct {
	ID               string       `json:"id"`
	Endpoint         string       `json:"endpoint"`
	Model            string       `json:"model,omitempty"` // of every line; "" while unknown, and for several
	Errors           []BatchFault `json:"errors,omitempty"`
	InputFileID      string       `json:"input_file_id"`
	CompletionWindow string       `json:"completion_window"`
	Status           BatchStatus  `json:"status"`
	OutputFileID     string       `json:"output_file_id,omitempty"`
	ErrorFileID      string       `json:"error_file_id,omitempty"`

	CreatedAt    int64 `json:"created_at"`
	InProgressAt int64 `json:"in_progress_at,omitempty"`
	ExpiresAt    int64 `json:"expires_at"`
	FinalizingAt int64 `json:"finalizing_at,omitempty"`
	CompletedAt  int64 `json:"completed_at,omitempty"`
	FailedAt     int64 `json:"failed_at,omitempty"`
	ExpiredAt    int64 `json:"expired_at,omitempty"`
	CancellingAt int64 `json:"cancelling_at,omitempty"`
	CancelledAt  int64 `json:"cancelled_at,omitempty"`

	Counts   BatchCounts       `json:"request_counts"`
	Usage    *Usage            `json:"usage,omitempty"` // nil until the batch has ended
	Metadata map[string]string `json:"metadata,omitempty"`
}

// BatchCounts counts the requests of a batch. Completed are those that succeeded.
//
// Invariant: Completed + Failed <= Total, and equal once the batch has ended in
// any way but failed.
type BatchCounts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

// BatchFault is what is wrong with a batch's input.
type BatchFault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"` // "" is sent as null
	Line    int    `json:"line,omitempty"`  // from 1; 0, of the file as a whole, is sent as null
}

// AppendJSON appends the batch as clients see it: every member that OpenAI's API
// has, in its order, null where nothing is known.
func (b *Batch) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendLiteral(dst, b.ID)
	dst = append(dst, `,"object":"batch","endpoint":`...)
	dst = appendLiteral(dst, b.Endpoint)
	dst = append(dst, `,"model":`...)
	dst = appendTextOrNull(dst, b.Model)
	dst = append(dst, `,"errors":`...)
	dst = appendFaults(dst, b.Errors)
	dst = append(dst, `,"input_file_id":`...)
	dst = appendLiteral(dst, b.InputFileID)
	dst = append(dst, `,"completion_window":`...)
	dst = appendLiteral(dst, b.CompletionWindow)
	dst = append(dst, `,"status":`...)
	dst = appendLiteral(dst, string(b.Status))
	dst = append(dst, `,"output_file_id":`...)
	dst = appendTextOrNull(dst, b.OutputFileID)
	dst = append(dst, `,"error_file_id":`...)
	dst = appendTextOrNull(dst, b.ErrorFileID)
	dst = append(dst, `,"created_at":`...)
	dst = strconv.AppendInt(dst, b.CreatedAt, 10)
	for _, stamp := range []struct {
		name string
		time int64
	}{
		{"in_progress_at", b.InProgressAt}, {"expires_at", b.ExpiresAt}, {"finalizing_at", b.FinalizingAt},
		{"completed_at", b.CompletedAt}, {"failed_at", b.FailedAt}, {"expired_at", b.ExpiredAt},
		{"cancelling_at", b.CancellingAt}, {"cancelled_at", b.CancelledAt},
	} {
		dst = append(append(append(dst, `,"`...), stamp.name...), `":`...)
		if stamp.time == 0 {
			dst = append(dst, "null"...)
			continue
		}
		dst = strconv.AppendInt(dst, stamp.time, 10)
	}
	dst = append(dst, `,"request_counts":{"total":`...)
	dst = strconv.AppendInt(dst, int64(b.Counts.Total), 10)
	dst = append(dst, `,"completed":`...)
	dst = strconv.AppendInt(dst, int64(b.Counts.Completed), 10)
	dst = append(dst, `,"failed":`...)
	dst = strconv.AppendInt(dst, int64(b.Counts.Failed), 10)
	dst = append(dst, `},"usage":`...)
	dst = appendBatchUsage(dst, b.Usage)
	dst = append(dst, `,"metadata":`...)
	if len(b.Metadata) == 0 {
		return append(dst, "null}"...)
	}
	return append(appendStrings(dst, b.Metadata), '}')
}

// AppendBatchList appends a page of batches as the API's list object. more says
// that there are others behind the last one.
func AppendBatchList(dst []byte, batches []*Batch, more bool) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i, b := range batches {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = b.AppendJSON(dst)
	}
	first, last := "", ""
	if len(batches) > 0 {
		first, last = batches[0].ID, batches[len(batches)-1].ID
	}
	dst = append(dst, `],"first_id":`...)
	dst = appendTextOrNull(dst, first)
	dst = append(dst, `,"last_id":`...)
	dst = appendTextOrNull(dst, last)
	dst = append(dst, `,"has_more":`...)
	dst = strconv.AppendBool(dst, more)
	return append(dst, '}')
}

func appendFaults(dst []byte, faults []BatchFault) []byte {
	if len(faults) == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"object":"list","data":[`...)
	for i, f := range faults {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"code":`...)
		dst = appendLiteral(dst, f.Code)
		dst = append(dst, `,"message":`...)
		dst = appendLiteral(dst, f.Message)
		dst = append(dst, `,"param":`...)
		dst = appendTextOrNull(dst, f.Param)
		dst = append(dst, `,"line":`...)
		if f.Line == 0 {
			dst = append(dst, "null}"...)
			continue
		}
		dst = append(strconv.AppendInt(dst, int64(f.Line), 10), '}')
	}
	return append(dst, "]}"...)
}

// appendBatchUsage appends u by the names of the Responses API, as batches do.
func appendBatchUsage(dst []byte, u *Usage) []byte {
	if u == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"input_tokens":`...)
	dst = strconv.AppendInt(dst, u.PromptTokens, 10)
	dst = append(dst, `,"input_tokens_details":{"cached_tokens":`...)
	dst = strconv.AppendInt(dst, u.CachedTokens, 10)
	dst = append(dst, `},"output_tokens":`...)
	dst = strconv.AppendInt(dst, u.CompletionTokens, 10)
	dst = append(dst, `,"output_tokens_details":{"reasoning_tokens":`...)
	dst = strconv.AppendInt(dst, u.ReasoningTokens, 10)
	dst = append(dst, `},"total_tokens":`...)
	dst = strconv.AppendInt(dst, u.TotalTokens, 10)
	return append(dst, '}')
}
