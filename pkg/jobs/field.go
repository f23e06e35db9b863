package jobs

import (
	"encoding/binary"
	"errors"
)

// What travels beside text (a job's header, the data of started, opened and done
// events) is a list of fields, each a tag, a length and a value. Zero values are
// left out, unknown tags skipped: fields may be added, none may change its meaning.
//
//	field  tag (1 byte), length (uvarint), value: text or an unsigned number (uvarint)

var errBadField = errors.New("malformed field")

func appendText(dst []byte, tag byte, v string) []byte {
	if v == "" {
		return dst
	}
	dst = append(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}

func appendNumber[T ~int64 | ~uint64 | ~int](dst []byte, tag byte, v T) []byte {
	if v == 0 {
		return dst
	}
	var value [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(value[:], uint64(v))
	dst = append(dst, tag, byte(n))
	return append(dst, value[:n]...)
}

// fields calls take with each field of b; a value is a part of b. Who keeps several
// texts reads them from a string, made once for all of them.
func fields[B string | []byte](b B, take func(tag byte, value B)) error {
	for len(b) > 0 {
		tag := b[0]
		n, size := binary.Uvarint([]byte(b[1:min(len(b), 1+binary.MaxVarintLen64)]))
		if size <= 0 || n > uint64(len(b)-1-size) {
			return errBadField
		}
		start := 1 + size
		take(tag, b[start:start+int(n)])
		b = b[start+int(n):]
	}
	return nil
}

// number reads a numeric value; a malformed one is 0.
func number[T ~int64 | ~uint64 | ~int, B string | []byte](value B) T {
	if len(value) > binary.MaxVarintLen64 {
		return 0
	}
	v, n := binary.Uvarint([]byte(value))
	if n != len(value) {
		return 0
	}
	return T(v)
}
