package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

var errNoTime = errors.New("ask for the time: none in the answer")

// skewOf is how far the broker's clock is ahead, when it said that it was ts
// between sent and received. What the way there and back may explain is no skew.
func skewOf(sent, received, ts time.Time) time.Duration {
	way := received.Sub(sent)
	if skew := ts.Sub(sent.Add(way / 2)); skew.Abs() > way {
		return skew
	}
	return 0
}

// clockSkew asks the broker for the time. Its servers must agree among themselves.
func (c *Conn) clockSkew(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	sent := time.Now()
	m, err := c.nc.RequestWithContext(ctx, c.apiPrefix+"STREAM.INFO."+c.n.jobsStream(Interactive), nil)
	received := time.Now()
	if err != nil {
		return 0, fmt.Errorf("ask for the time: %w", err)
	}
	var answer struct {
		Time time.Time `json:"ts"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return 0, fmt.Errorf("ask for the time: %w", err)
	}
	if answer.Time.IsZero() {
		return 0, errNoTime
	}
	return skewOf(sent, received, answer.Time), nil
}

// readClock compares this worker's clock with the broker's, so that deadlines hold
// whatever it shows. While the broker cannot be asked, the last comparison stands.
func (k *Consumer) readClock() {
	skew, err := k.conn.clockSkew(k.stop)
	if err != nil {
		return // asked again soon
	}
	if was := time.Duration(k.skew.Swap(int64(skew))); (was - skew).Abs() > time.Second {
		k.log.Warn("clock differs from the broker's", "ahead", (-skew).String())
	}
}
