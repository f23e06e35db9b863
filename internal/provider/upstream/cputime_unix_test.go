//go:build unix

package upstream

import (
	"syscall"
	"time"
)

// cpuTime is what all processors have spent on this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail for this process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
