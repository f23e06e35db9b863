package protocol

import (
	"net/http"
	"strconv"
)

// File is the file object of the API. Times are Unix seconds.
type File struct {
	ID        string
	Bytes     int64
	CreatedAt int64
	ExpiresAt int64 // 0: never, and the member is left out
	Filename  string
	Purpose   string
}

// AppendFile appends f as the API's file object. Its status is always "processed":
// what is wrong with a batch's input, the batch says.
func AppendFile(dst []byte, f File) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendErrorText(dst, f.ID)
	dst = append(dst, `,"object":"file","bytes":`...)
	dst = strconv.AppendInt(dst, f.Bytes, 10)
	dst = append(dst, `,"created_at":`...)
	dst = strconv.AppendInt(dst, f.CreatedAt, 10)
	if f.ExpiresAt != 0 {
		dst = append(dst, `,"expires_at":`...)
		dst = strconv.AppendInt(dst, f.ExpiresAt, 10)
	}
	dst = append(dst, `,"filename":`...)
	dst = appendErrorText(dst, f.Filename)
	dst = append(dst, `,"purpose":`...)
	dst = appendErrorText(dst, f.Purpose)
	return append(dst, `,"status":"processed","status_details":null}`...)
}

// AppendFileList appends files, in their order, as the API's list object.
func AppendFileList(dst []byte, files []File, more bool) []byte {
	page := Page{HasMore: more, Items: make([][]byte, len(files))}
	for i, f := range files {
		page.Items[i] = AppendFile(nil, f)
	}
	if len(files) > 0 {
		page.FirstID, page.LastID = files[0].ID, files[len(files)-1].ID
	}
	return AppendPage(dst, page)
}

// AppendFileDeleted appends the answer to a deletion.
func AppendFileDeleted(dst []byte, id string) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendErrorText(dst, id)
	return append(dst, `,"object":"file","deleted":true}`...)
}

// ErrFileNotFound says that there is no such file, or that it is another's: 404.
func ErrFileNotFound(id string) *Error {
	return &Error{
		Status: http.StatusNotFound, Type: TypeInvalidRequest, Param: "id",
		Message: "No such File object: " + shorten(id),
	}
}

// ErrFileFormat says that an upload cannot be the input of a batch: 400.
func ErrFileFormat() *Error {
	return ErrInvalid("", "", "Invalid file format for Batch API. Must be .jsonl")
}

// ErrFileTooLarge says that an uploaded file exceeds limit bytes: 413.
func ErrFileTooLarge(limit int64) *Error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Type: TypeInvalidRequest, Param: "file",
		Message: "The file is too large: the limit is " + strconv.FormatInt(limit, 10) + " bytes.",
	}
}

// ErrFileQuota says that the owner's files together would exceed limit bytes: 429,
// which no retry mends.
func ErrFileQuota(limit int64) *Error {
	return &Error{
		Status: http.StatusTooManyRequests, Type: "insufficient_quota", Code: "insufficient_quota", NoRetry: true,
		Message: "Your files would take more than the " + strconv.FormatInt(limit, 10) +
			" bytes that you may store. Please delete files that you do not need any more.",
	}
}

// ErrNoStorage says that the server's disk is full: 507, which no quick retry mends.
func ErrNoStorage() *Error {
	return &Error{
		Status: http.StatusInsufficientStorage, Type: TypeServer, Code: "insufficient_storage", NoRetry: true,
		Message: "The server has no room left to store this. Please contact the operator of this server.",
	}
}
