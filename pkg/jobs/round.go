package jobs

import "time"

// untilRound returns how long it is until the next round of those things that the
// connection does once in every. All of them count from the same moment, so that they
// come together: an idle program, and the broker, then wake up once for them instead of
// once for each.
func (c *Conn) untilRound(every time.Duration) time.Duration {
	return every - time.Since(c.born)%every
}
