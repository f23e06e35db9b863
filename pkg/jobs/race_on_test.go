//go:build race

package jobs

import "time"

// longestPull is what a pull may take: the race detector makes a cluster of three, on
// cores that are kept busy, several times slower.
const longestPull = 4 * time.Second
