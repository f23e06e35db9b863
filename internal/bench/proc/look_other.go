//go:build !linux

package proc

import "time"

func look(roots []int, _ map[int]time.Duration) (int64, error) {
	if len(roots) == 0 {
		return 0, nil
	}
	return 0, ErrUnsupported
}

// Named returns the processes whose program has this name, or whose command begins so.
func Named(string) ([]int, error) { return nil, ErrUnsupported }

// Machine is the processor time that the whole machine has spent.
func Machine() (time.Duration, error) { return 0, ErrUnsupported }

// Self is the processor time of this process.
func Self() (time.Duration, error) { return 0, ErrUnsupported }
