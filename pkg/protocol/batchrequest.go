package protocol

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultBatchWindow is the completion window that every installation offers.
const DefaultBatchWindow = "24h"

// BatchRequest is a request to create a batch that passed validation.
type BatchRequest struct {
	InputFileID   string
	Endpoint      string
	Window        string        // as it was asked for, "24h"
	Duration      time.Duration // of the window
	OutputExpires time.Duration // output_expires_after; 0 if absent
	Metadata      map[string]string
}

var batchRequestSchema = object([]string{"input_file_id", "endpoint", "completion_window"}, members{
	"input_file_id":     text(),
	"endpoint":          oneOf(ChatEndpoint),
	"completion_window": text(),
	"metadata":          metadataSchema,
	"output_expires_after": object([]string{"anchor", "seconds"}, members{
		"anchor":  oneOf("created_at"),
		"seconds": integer(3600, 30*24*3600),
	}),
})

// ParseBatchRequest validates the body of POST /v1/batches. windows are the
// completion windows offered, as ParseWindow reads them; without any it is 24h
// alone. The error is always an *Error. Whether the input file exists is not looked at: a batch on
// an unknown file is created and fails.
func ParseBatchRequest(body []byte, windows ...string) (*BatchRequest, error) {
	if err := validateAs(body, batchRequestSchema); err != nil {
		return nil, err
	}
	r := &BatchRequest{}
	ok := true
	read := func(name string, take func(value []byte) bool) {
		if value := findMember(body, name); value != nil && !isNull(value) {
			ok = take(value) && ok
		}
	}
	read("input_file_id", func(v []byte) (ok bool) { r.InputFileID, ok = unquote(v); return ok })
	read("endpoint", func(v []byte) (ok bool) { r.Endpoint, ok = unquote(v); return ok })
	read("completion_window", func(v []byte) (ok bool) { r.Window, ok = unquote(v); return ok })
	read("metadata", func(v []byte) (ok bool) { r.Metadata, ok = decodeStrings(v); return ok })
	read("output_expires_after", func(v []byte) bool {
		seconds, ok := decodeInt(findMember(v, "seconds"))
		r.OutputExpires = time.Duration(seconds) * time.Second
		return ok
	})
	if !ok {
		return nil, ErrBadJSON()
	}
	if len(windows) == 0 {
		windows = []string{DefaultBatchWindow}
	}
	if !slices.Contains(windows, r.Window) {
		return nil, faultValue("completion_window", appendLiteral(nil, r.Window), windows)
	}
	var err error
	if r.Duration, err = ParseWindow(r.Window); err != nil {
		return nil, ErrInternal().Wrap(err) // offered by the configuration, which was checked
	}
	return r, nil
}

// ParseWindow reads a completion window: whole minutes, hours or days, such as 30m,
// 24h or 7d.
func ParseWindow(s string) (time.Duration, error) {
	fault := ErrInvalid("completion_window", "invalid_value", "Invalid value: '%s'. A completion window is a number of m, h or d.", shorten(s))
	for unit, length := range map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour} {
		if digits, found := strings.CutSuffix(s, unit); found {
			n, err := strconv.ParseUint(digits, 10, 16)
			if err != nil || n == 0 {
				return 0, fault
			}
			return time.Duration(n) * length, nil
		}
	}
	return 0, fault
}

// ErrNoBatch says that there is no such batch, or none of the caller's: 404.
func ErrNoBatch(id string) *Error {
	return &Error{
		Status: http.StatusNotFound, Type: TypeInvalidRequest,
		Message: "No batch found with id '" + shorten(id) + "'.",
	}
}

// ErrBatchPurpose says that the input of a batch was uploaded for something else: 400.
func ErrBatchPurpose(purpose string) *Error {
	return ErrInvalid("input_file_id", "invalid_value",
		"Invalid value: a batch needs an input file of purpose 'batch', but this one was uploaded for '%s'.", shorten(purpose))
}

// ErrBatchEnded says that a batch cannot be cancelled any more: 409, which SDKs
// must not retry.
func ErrBatchEnded(status BatchStatus) *Error {
	return &Error{
		Status: http.StatusConflict, Type: TypeInvalidRequest, NoRetry: true,
		Message: "Cannot cancel a batch with status '" + string(status) + "'.",
	}
}
