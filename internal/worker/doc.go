// Package worker turns jobs into answers: it takes a job from pkg/jobs, picks a
// target that serves its model, calls the target's provider and publishes what
// the provider says.
//
//	job -> catalogue (which targets) -> router (which of them, when) -> provider -> events
//
// Rules it keeps:
//
//   - Before the first event of an answer was emitted, a failed call may be
//     repeated on the same target (a retry) or on the next one (a fallback);
//     the client notices nothing but time. After it, never: the stream ends with
//     an error.
//   - A stream without a finish reason for each of its choices is an error. The
//     worker never invents one.
//   - A call leaves the target when its context ends, and what the target said
//     until then is counted as usage.
//   - Jobs that wait for a full target are served by class, then in their order.
//   - A fault of the client (a bad request, an unknown model) never opens a
//     circuit breaker.
//   - Errors name the model as the client did. What a provider said about keys,
//     balances and addresses reaches the operator's log, never the client; keys,
//     prompts and answers reach neither.
//   - The worker is ready before its providers are: their model lists are asked
//     in the background, and a job for a model that is in no list waits only for
//     those that were never answered.
//   - A reload changes what the next attempt uses; a running one finishes with
//     what it began with.
//
// The decisions (order, judge, faults, breaker) are values in, values out, with the
// time as an argument; they do no I/O.
package worker
