package jobs

import (
	"errors"
	"time"
)

// KeptStatus is where a kept job is in its life. The words are those of the API.
type KeptStatus string

// The states of a kept job; the last three are for ever.
const (
	KeptQueued    KeptStatus = "queued"
	KeptRunning   KeptStatus = "in_progress"
	KeptCompleted KeptStatus = "completed"
	KeptFailed    KeptStatus = "failed"
	KeptCancelled KeptStatus = "cancelled"
)

// Kept is a kept job as it is now.
type Kept struct {
	Job      *Job              // Body is nil unless asked for
	Metadata map[string]string // as last set; may be nil
	Status   KeptStatus
	Started  time.Time // when the present attempt began; zero: not yet
	Result   *Result   // nil until it ended
	Place    *Place    // while queued, if it is known
}

// Place is where a queued job stands, as an estimate.
type Place struct {
	Position int64         // 1 is next
	Wait     time.Duration // 0: nothing is known of how fast the queue moves
}

// KeptOptions says what to read of a kept job.
type KeptOptions struct {
	WithBody bool // the request as well
	Hidden   bool // a job that is kept for its idempotency key alone will do
}

// ErrEventsGone says that the events asked for are no longer stored.
var ErrEventsGone = errors.New("events are no longer stored")
