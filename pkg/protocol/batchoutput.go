package protocol

import "strconv"

// The codes of lines that got no answer.
const (
	CodeBatchExpired   = "batch_expired"
	CodeBatchCancelled = "batch_cancelled"
	CodeBatchInputLost = "batch_input_lost" // of ours: the documentation knows no such case
)

// AppendBatchAnswer appends a line of a batch's output or error file, with its line
// break: the answer that a request got, body being a completion or an error
// envelope. customID is a JSON string.
func AppendBatchAnswer(dst []byte, id string, customID []byte, requestID string, status int, body []byte) []byte {
	dst = appendBatchHead(dst, id, customID)
	dst = append(dst, `"response":{"status_code":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, `,"request_id":`...)
	dst = appendLiteral(dst, requestID)
	dst = append(dst, `,"body":`...)
	dst = append(dst, cleanJSON(body)...)
	return append(dst, "},\"error\":null}\n"...)
}

// AppendBatchError appends a line of a batch's error file, with its line break: a
// request that was not answered, and why.
func AppendBatchError(dst []byte, id string, customID []byte, code, message string) []byte {
	dst = appendBatchHead(dst, id, customID)
	dst = append(dst, `"response":null,"error":{"code":`...)
	dst = appendLiteral(dst, code)
	dst = append(dst, `,"message":`...)
	dst = appendLiteral(dst, message)
	return append(dst, "}}\n"...)
}

func appendBatchHead(dst []byte, id string, customID []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendLiteral(dst, id)
	dst = append(dst, `,"custom_id":`...)
	dst = append(dst, customID...)
	return append(dst, ',')
}

// ErrBatchExpired ends a line that did not run before the window closed.
func ErrBatchExpired() *Error {
	return &Error{
		Status: 408, Type: TypeInvalidRequest, Code: CodeBatchExpired,
		Message: "This request could not be executed before the completion window expired.",
	}
}

// ErrBatchInputLost ends a line that cannot be read from the input any more.
func ErrBatchInputLost() *Error {
	return &Error{
		Status: 500, Type: TypeServer, Code: CodeBatchInputLost, NoRetry: true,
		Message: "This request was not executed because the content of the batch's input file was lost.",
	}
}

// ErrBatchCancelled ends a line that did not run because its batch was cancelled.
func ErrBatchCancelled() *Error {
	return &Error{
		Status: 409, Type: TypeInvalidRequest, Code: CodeBatchCancelled,
		Message: "This request was not executed because the batch was cancelled.",
	}
}
