// Package load sends chat completions to an OpenAI-compatible server, checks every answer
// and measures how long each took.
//
// Rules it keeps:
//
//   - Every request that was begun is counted once: as answered rightly, as failed, with
//     its kind, or as abandoned because the run was cut short. Only right answers that
//     were begun after the warm-up have their times recorded.
//   - At a constant rate, times count from the moment at which a request was due, not from
//     when it was sent: what waits behind a slow answer is as late as its user would find
//     it. With a constant concurrency they count from sending.
//   - It costs little, for it shares the machine with what it measures: a request is bytes
//     made once, in which only the id changes, and an answer is read by its caller's
//     goroutine on a connection of its own, without package net/http.
//   - It has no HTTP in common with what Osiris serves requests with.
//
// A batch is different: its lines are one file, and what is measured is the whole of it.
package load
