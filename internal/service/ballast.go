package service

import (
	"os"
	"runtime/debug"
)

// Go collects garbage when the memory in use has doubled. A program with 10 MB in use
// would collect after every 10 MB allocated, which at some thousand requests a second is
// a tenth of its processor time; one with thousands of streams would hold as much garbage
// as streams. So memory in use may grow by garbage percent only, and ballast counts as
// memory in use: it is only ever reserved, and the system gives no page for it.
const (
	garbage = 25
	ballast = 48 << 20 // bytes
)

// newBallast reserves it for as long as the result is kept, unless GOGC says how often
// to collect.
func newBallast() []byte {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	debug.SetGCPercent(garbage)
	return make([]byte, ballast)
}
