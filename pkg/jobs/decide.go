package jobs

import (
	"bytes"
	"errors"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// ending is what becomes of an attempt.
type ending struct {
	status Status
	kind   EventKind       // final event to emit; 0 for none
	err    *protocol.Error // of a Failed event
	ack    []byte          // acknowledgement of the job, once usage is stored; nil for none
	result ResultStatus    // to be stored first, of a kept job; 0 for none
}

// again reports whether the job goes back into the queue.
func (e *ending) again() bool { return e.ack != nil && !bytes.Equal(e.ack, ackAck) }

// decide says what becomes of a plain job's attempt from the handler's error, why
// its context ended (nil if it did not), and what the client may have seen of it.
func decide(err, cause error, stream, emitted bool) ending {
	seen := emitted && stream
	switch {
	case err == nil:
		return ending{status: StatusFinished, kind: Done, ack: ackAck}
	case errors.Is(cause, ErrSuperseded): // the job belongs to the newer attempt
		return ending{status: StatusCancelled}
	case errors.Is(cause, ErrCancelled), errors.Is(cause, ErrFrontendGone):
		return ending{status: StatusCancelled, ack: ackAck}
	case errors.Is(cause, ErrShutdown) && !seen:
		return ending{status: StatusHandedBack, ack: ackNak}
	case errors.Is(cause, ErrShutdown):
		return ending{status: StatusFailed, kind: Failed, err: protocol.ErrWorkerLost().Wrap(err), ack: ackAck}
	case errors.Is(err, ErrHandBack) && !emitted:
		return ending{status: StatusHandedBack, ack: nakIn(handBackDelay)}
	case errors.Is(cause, ErrExpired), errors.Is(err, ErrExpired):
		return ending{status: StatusFailed, kind: Failed, err: errExpired(err), ack: ackAck}
	}
	return ending{status: StatusFailed, kind: Failed, err: protocol.AsError(err), ack: ackAck}
}

// decideKept does the same for a kept job, which goes on without its client.
//
//   - What is stored stands: only a finished job, or one that failed for good, has a result.
//   - A worker that stops hands the job back although its text was seen; a live
//     reader is told that the text ends here.
//   - Background work waits for a provider that is busy or away, unless the deadline,
//     which is left away from now, comes before the next attempt: then the failure is
//     its answer.
//   - Whether a batch's line is tried again is for the batch's driver to say.
func decideKept(err, cause error, job *Job, emitted bool, attempt uint32, left time.Duration) ending {
	seen := emitted && job.Stream
	switch {
	case err == nil:
		return ending{status: StatusFinished, kind: Done, ack: ackAck, result: Completed}
	case errors.Is(cause, ErrCancelled): // whoever cancelled it has stored so
		return ending{status: StatusCancelled, kind: Failed, err: errRevoked(), ack: ackAck}
	case errors.Is(cause, ErrSuperseded), errors.Is(cause, ErrShutdown) && !seen, errors.Is(err, ErrHandBack) && !emitted:
		return decide(err, cause, job.Stream, emitted)
	case errors.Is(cause, ErrShutdown):
		return ending{status: StatusHandedBack, kind: Failed, err: workerLost(job).Wrap(err), ack: ackNak}
	}
	failed := ending{status: StatusFailed, kind: Failed, err: protocol.AsError(err), ack: ackAck, result: Errored}
	expired := errors.Is(cause, ErrExpired) || errors.Is(err, ErrExpired)
	if expired {
		failed.err = errExpired(err)
	}
	switch later := retryable(failed.err); {
	case job.isLine() && (later || expired):
		failed.result = 0
	case job.Class == Background && later && !expired && !seen && !errors.Is(err, errBodyGone):
		if pause := retryDelay(failed.err, attempt); pause < left {
			return ending{status: StatusFailed, err: failed.err, ack: nakIn(pause)}
		}
	}
	return failed
}

func errExpired(cause error) *protocol.Error {
	return protocol.ErrTimeout("The request was not answered before its deadline.").Wrap(cause)
}

// retryable reports whether the same request may succeed later.
func retryable(e *protocol.Error) bool {
	return e.Status == 408 || e.Status == 409 || e.Status == 429 || e.Status >= 500
}

const (
	handBackDelay = 500 * time.Millisecond
	retryLeast    = 2 * time.Second
	retryMost     = 5 * time.Minute
)

// retryDelay is the pause before a background job is tried again: what the
// provider asked for, else twice as long each time.
func retryDelay(e *protocol.Error, attempt uint32) time.Duration {
	return min(max(e.RetryAfter, retryLeast<<min(attempt-1, 10)), max(retryMost, e.RetryAfter))
}
