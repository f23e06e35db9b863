//go:build !unix

package upstream

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
