//go:build unix

package service

import (
	"syscall"
	"time"
)

// processorTime returns what this program used of processors since it was started.
func processorTime() (time.Duration, bool) {
	var r syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), err == nil
}
