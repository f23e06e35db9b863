package jobs

import "errors"

// ErrEventsGone says that the events asked for are no longer stored.
var ErrEventsGone = errors.New("events are no longer stored")
