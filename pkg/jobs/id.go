package jobs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ID names a job: a UUID version 7, so that ids sort by the time they were made.
// The zero ID names none.
type ID [16]byte

// NewID returns a fresh id. It may be called by any goroutine.
func NewID() ID { return ID(uuid.Must(uuid.NewV7())) }

// String returns the id as 32 lower-case hexadecimal digits, the form it has in
// subjects.
func (id ID) String() string {
	var b [32]byte
	hex.Encode(b[:], id[:])
	return string(b[:])
}

// AppendText appends the 32 digits of String to dst.
func (id ID) AppendText(dst []byte) ([]byte, error) {
	return hex.AppendEncode(dst, id[:]), nil
}

// Time returns when the id was made, to the millisecond.
func (id ID) Time() time.Time {
	var ms [8]byte
	copy(ms[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC()
}

// IsZero reports whether id names no job.
func (id ID) IsZero() bool { return id == ID{} }

// ParseID reads what String wrote. Upper-case digits are refused: one job has one
// spelling, so a subject built from a parsed id is the subject it came from.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, fmt.Errorf("parse job id: %d characters, want %d", len(s), 2*len(id))
	}
	for i := range id {
		hi, lo := hexDigit(s[2*i]), hexDigit(s[2*i+1])
		if hi > 15 || lo > 15 {
			return ID{}, errors.New("parse job id: not lower-case hexadecimal")
		}
		id[i] = hi<<4 | lo
	}
	return id, nil
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// deriveID returns an id that follows from another and a name: of the same time, so
// that it sorts with it, and otherwise as good as random.
func deriveID(from ID, name string) ID {
	sum := sha256.Sum256(append(from[:], name...))
	id := ID(sum[:len(from)])
	copy(id[:6], from[:6])
	id[6] = id[6]&0x0f | 0x70 // version 7
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	return id
}
