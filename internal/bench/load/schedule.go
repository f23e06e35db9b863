package load

import (
	"math"
	"time"
)

// schedule says when each request of a constant rate is due, from the start of the run.
type schedule struct {
	rate  float64 // per second, after the ramp
	ramp  time.Duration
	burst int
}

// due returns when request n is, from 0. In the ramp the rate grows evenly from nothing,
// so that n requests take the time in which the triangle below it has the area n.
func (s schedule) due(n int64) time.Duration {
	first := float64(n - n%int64(max(s.burst, 1))) // of its burst
	ramp := s.ramp.Seconds()
	inRamp := s.rate * ramp / 2
	at := ramp + (first-inRamp)/s.rate
	if first < inRamp {
		at = math.Sqrt(2 * first * ramp / s.rate)
	}
	if at > math.MaxInt64/float64(2*time.Second) {
		return math.MaxInt64 / 2
	}
	return time.Duration(at * float64(time.Second))
}
