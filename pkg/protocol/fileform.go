package protocol

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// BatchFileLimit is the largest file that can be the input of a batch, in bytes.
	BatchFileLimit = 200 << 20
	// BatchFileAge is how long the input of a batch is kept unless its upload says
	// otherwise.
	BatchFileAge = 30 * 24 * time.Hour

	shortestFileAge = time.Hour
	longestFileAge  = 30 * 24 * time.Hour
	longestFilename = 255
)

// PurposeBatch is the purpose of files that are the input of a batch.
const PurposeBatch = "batch"

// uploadPurposes are those a client may give a file.
func uploadPurposes() []string {
	return []string{"assistants", PurposeBatch, "fine-tune", "vision", "user_data", "evals"}
}

// FileForm gathers the fields of an upload, in whatever order they come. The zero
// value is an empty form.
type FileForm struct {
	purpose, anchor, seconds string
	filename                 string
	seen                     []string
}

// Set takes a plain field. The error is a *Error: a field that is unknown, that
// comes twice, or whose value is wrong by itself.
func (f *FileForm) Set(name, value string) error {
	field := name
	switch name { // as different clients spell members of an object
	case "expires_after.anchor":
		field = "expires_after[anchor]"
	case "expires_after.seconds":
		field = "expires_after[seconds]"
	}
	if err := f.once(field); err != nil {
		return err
	}
	switch field {
	case "purpose":
		if !slices.Contains(uploadPurposes(), value) {
			return errChoice(field, value, uploadPurposes())
		}
		f.purpose = value
	case "expires_after[anchor]":
		if value != "created_at" {
			return errChoice(field, value, []string{"created_at"})
		}
		f.anchor = value
	case "expires_after[seconds]":
		if err := checkFileAge(field, value); err != nil {
			return err
		}
		f.seconds = value
	case "file":
		return ErrInvalid(field, "invalid_type", "Invalid type for 'file': expected an uploaded file, but got a plain form field instead.")
	default:
		return ErrInvalid(shorten(name), "unknown_parameter", "Unknown parameter: '%s'.", shorten(name))
	}
	return nil
}

// SetFile takes the name of the uploaded file when its part begins. The error is a
// *Error, also if what is known by then refuses the file.
func (f *FileForm) SetFile(filename string) error {
	if err := f.once("file"); err != nil {
		return err
	}
	filename = strings.ToValidUTF8(filename, "\uFFFD")
	if len(filename) > longestFilename {
		return ErrInvalid("file", "string_above_max_length",
			"Invalid 'file': its name is too long. Expected at most %d bytes, but got %d instead.", longestFilename, len(filename))
	}
	if strings.ContainsFunc(filename, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ErrInvalid("file", "invalid_value", "Invalid 'file': its name has control characters.")
	}
	f.filename = filename
	return f.checkName()
}

func (f *FileForm) once(field string) error {
	if slices.Contains(f.seen, field) {
		return ErrInvalid(field, "duplicate_parameter", "Duplicate parameter: '%s'.", field)
	}
	if len(f.seen) < 8 { // there are four
		f.seen = append(f.seen, field)
	}
	return nil
}

// checkName refuses the name of a batch's input, once purpose and name are known.
func (f *FileForm) checkName() error {
	if f.purpose == PurposeBatch && f.filename != "" && !strings.EqualFold(f.filename[max(0, len(f.filename)-len(".jsonl")):], ".jsonl") {
		return ErrFileFormat()
	}
	return nil
}

// Check says what is missing, or does not fit together, once every field came.
func (f *FileForm) Check() error {
	switch {
	case !slices.Contains(f.seen, "file"):
		return faultMissing("file")
	case f.purpose == "":
		return faultMissing("purpose")
	case f.anchor == "" && f.seconds != "":
		return faultMissing("expires_after[anchor]")
	case f.anchor != "" && f.seconds == "":
		return faultMissing("expires_after[seconds]")
	}
	return f.checkName()
}

// Purpose returns the file's purpose, "" if it is not known yet.
func (f *FileForm) Purpose() string { return f.purpose }

// Filename returns the name of the uploaded file, "" if it is not known yet.
func (f *FileForm) Filename() string { return f.filename }

// Age returns how long the file is to be kept, 0 for ever. It is known once Check
// has returned nil.
func (f *FileForm) Age() time.Duration {
	if n, err := strconv.ParseInt(f.seconds, 10, 64); err == nil {
		return time.Duration(n) * time.Second
	}
	if f.purpose == PurposeBatch {
		return BatchFileAge
	}
	return 0
}

// AppendCanonical appends what the fields say, the same for every spelling and
// order.
func (f *FileForm) AppendCanonical(dst []byte) []byte {
	for _, field := range []string{f.purpose, f.anchor, f.seconds, f.filename} {
		dst = strconv.AppendQuote(dst, field)
	}
	return dst
}

func checkFileAge(field, value string) error {
	const least, most = int64(shortestFileAge / time.Second), int64(longestFileAge / time.Second)
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil || value[0] == '+':
		return ErrInvalid(field, "invalid_type", "Invalid type for '%s': expected an integer, but got '%s' instead.", field, shorten(value))
	case n < least:
		return faultBelow(field, "integer", strconv.FormatInt(least, 10), []byte(value))
	case n > most:
		return faultAbove(field, "integer", strconv.FormatInt(most, 10), []byte(value))
	}
	return nil
}

func errChoice(field, value string, choices []string) *Error {
	return ErrInvalid(field, "invalid_value", "Invalid value: '%s'. Supported values are: %s.", shorten(value), listed(choices, "and"))
}
