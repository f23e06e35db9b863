//go:build !race

package jobs

import "time"

// longestPull is what a pull may take.
const longestPull = time.Second
