package protocol

import "time"

// The methods below are the transitions of a batch. Each does nothing to a batch
// that is not where the transition begins, and reports whether it did something;
// the clock is the caller's.

// Start says that the input is good: total lines run.
func (b *Batch) Start(model string, total int, now time.Time) bool {
	if b.Status != BatchValidating {
		return false
	}
	b.Status, b.InProgressAt, b.Model, b.Counts.Total = BatchInProgress, now.Unix(), model, total
	return true
}

// Fail says that the input is bad.
func (b *Batch) Fail(faults []BatchFault, now time.Time) bool {
	if b.Status != BatchValidating {
		return false
	}
	b.Status, b.FailedAt, b.Errors = BatchFailed, now.Unix(), faults
	return true
}

// Lose says that a batch that ran cannot come to its end, since its input is gone.
func (b *Batch) Lose(now time.Time) bool {
	switch b.Status {
	case BatchInProgress, BatchFinalizing, BatchCancelling:
		b.Status, b.FailedAt, b.Errors = BatchFailed, now.Unix(), []BatchFault{faultLostInput(b.InputFileID)}
		return true
	}
	return false
}

// Finalize says that every line has its result.
func (b *Batch) Finalize(now time.Time) bool {
	if b.Status != BatchInProgress {
		return false
	}
	b.Status, b.FinalizingAt = BatchFinalizing, now.Unix()
	return true
}

// Cancel begins to cancel the batch. Of one that is being cancelled, or is, it
// changes nothing; of one that ended otherwise the error is ErrBatchEnded.
func (b *Batch) Cancel(now time.Time) (changed bool, err error) {
	switch b.Status {
	case BatchCancelling, BatchCancelled:
		return false, nil
	case BatchValidating, BatchInProgress, BatchFinalizing:
		b.Status, b.CancellingAt = BatchCancelling, now.Unix()
		return true, nil
	}
	return false, ErrBatchEnded(b.Status)
}

// BatchOutcome is what a batch came to once every line had its result.
type BatchOutcome struct {
	Counts                    BatchCounts
	Usage                     Usage
	OutputFileID, ErrorFileID string // "" for a file that would be empty
}

// End ends the batch: a finalizing one is completed, a cancelling one cancelled, and
// one that is in progress, its window being over, expired. Neither count ends below
// what clients may have seen, even if results were lost after they were counted.
func (b *Batch) End(o BatchOutcome, now time.Time) bool {
	was := b.Counts
	switch b.Status {
	case BatchFinalizing:
		b.Status, b.CompletedAt = BatchCompleted, now.Unix()
	case BatchCancelling:
		b.Status, b.CancelledAt = BatchCancelled, now.Unix()
	case BatchInProgress:
		b.Status, b.ExpiredAt = BatchExpired, now.Unix()
	default:
		return false
	}
	b.Counts, b.Usage = was.raised(o.Counts.Completed, o.Counts.Failed), &o.Usage
	b.OutputFileID, b.ErrorFileID = o.OutputFileID, o.ErrorFileID
	return true
}

// Count raises the counts of a batch that runs, and reports whether that changed
// anything. They never fall.
func (b *Batch) Count(completed, failed int) bool {
	if b.Status.Ended() || b.Status == BatchValidating {
		return false
	}
	was := b.Counts
	b.Counts = was.raised(completed, failed)
	return b.Counts != was
}

// raised returns c with more completed and failed, within the total; none falls.
func (c BatchCounts) raised(completed, failed int) BatchCounts {
	next := c
	next.Completed = max(c.Completed, min(completed, c.Total-c.Failed))
	next.Failed = max(c.Failed, min(failed, c.Total-next.Completed))
	return next
}
