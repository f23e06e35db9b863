package progress

import "time"

// rate is how fast a number has grown lately. The zero value is ready.
type rate struct {
	points []point // in order of time, the last memory of them
}

type point struct {
	at time.Time
	n  int64
}

const mostPoints = 64

// add takes a newer number; one that fell begins anew.
func (r *rate) add(at time.Time, n int64) {
	if len(r.points) > 0 && n < r.points[len(r.points)-1].n {
		r.points = r.points[:0]
	}
	if k := len(r.points); k > 1 && at.Sub(r.points[k-2].at) < memory/mostPoints {
		r.points[k-1] = point{at, n} // too close to tell apart
		return
	}
	r.points = append(r.points, point{at, n})
	for len(r.points) > 2 && (at.Sub(r.points[0].at) > memory || len(r.points) > mostPoints) {
		r.points = append(r.points[:0], r.points[1:]...)
	}
}

// perSecond is the mean over what is remembered; 0 while it cannot be told.
func (r *rate) perSecond() float64 {
	if len(r.points) < 2 {
		return 0
	}
	first, last := r.points[0], r.points[len(r.points)-1]
	if passed := last.at.Sub(first.at).Seconds(); passed > 0 {
		return float64(last.n-first.n) / passed
	}
	return 0
}
