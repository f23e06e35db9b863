package jobs

import (
	"encoding/binary"
	"errors"
)

// Events travel as binary frames, several to a message, of one job or of many:
//
//	message  version (1 byte), frame...
//	frame    job (16), attempt (4), number (4), kind (1), length (4), data
//
// Integers are little-endian. The high bit of kind says that the event goes on in
// the next frame of the same attempt; each frame has its own number.
const (
	frameVersion    = 1
	frameHeader     = 29
	frameMore       = 0x80
	maxFrameData    = 128 << 10 // longer events are cut into frames of this size
	maxEvent        = 64 << 20  // longest event a reader puts together
	offsetOfKind    = 24
	offsetOfLength  = 25
	offsetOfAttempt = 16
	offsetOfNumber  = 20
)

type frame struct {
	job     ID
	attempt uint32
	number  uint32
	kind    EventKind
	more    bool // the event goes on in the next frame
	data    []byte
}

// last reports whether nothing of the attempt follows the frame.
func (f *frame) last() bool { return f.kind.final() && !f.more }

var errBadFrame = errors.New("malformed event frame")

func appendFrame(dst []byte, f *frame) []byte {
	dst = append(dst, f.job[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, f.attempt)
	dst = binary.LittleEndian.AppendUint32(dst, f.number)
	kind := byte(f.kind)
	if f.more {
		kind |= frameMore
	}
	dst = append(dst, kind)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.data)))
	return append(dst, f.data...)
}

// nextFrame reads the first frame of b, whose data is a part of b, and returns
// what follows it.
func nextFrame(b []byte) (f frame, rest []byte, err error) {
	if len(b) < frameHeader {
		return frame{}, nil, errBadFrame
	}
	n := binary.LittleEndian.Uint32(b[offsetOfLength:])
	if uint64(n) > uint64(len(b)-frameHeader) {
		return frame{}, nil, errBadFrame
	}
	f.job = ID(b[:offsetOfAttempt])
	f.attempt = binary.LittleEndian.Uint32(b[offsetOfAttempt:])
	f.number = binary.LittleEndian.Uint32(b[offsetOfNumber:])
	f.kind = EventKind(b[offsetOfKind] &^ frameMore)
	f.more = b[offsetOfKind]&frameMore != 0
	end := frameHeader + int(n)
	f.data = b[frameHeader:end:end]
	return f, b[end:], nil
}

// openMessage checks the version of a message and returns its frames.
func openMessage(b []byte) ([]byte, error) {
	if len(b) == 0 || b[0] != frameVersion {
		return nil, errBadFrame
	}
	return b[1:], nil
}
