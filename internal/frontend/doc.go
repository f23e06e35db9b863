// Package frontend turns HTTP requests into jobs and the events of jobs into
// HTTP answers. It knows no model provider and keeps no state of its own: any
// number of frontends serve the same queue. It is the only package that imports
// fiber.
//
// Rules it keeps:
//
//   - A request is checked in OpenAI's order: key, JSON, model present, messages,
//     ranges, model known, limits. Every refusal, also one of the HTTP server
//     below, has OpenAI's envelope.
//   - The status waits for the outcome: in JSON mode until the job is done, in a
//     stream until its first chunk or Config.HoldBack, so that early failures keep
//     their status.
//   - A stream is written by the connection's own goroutine, in pieces of all events
//     that are there. Nothing is decoded per chunk, nothing is started per request, and
//     a stream that waits for its next event has no buffer.
//   - Exactly one closing frame reaches each client: [DONE] after a complete answer,
//     or one error event and [DONE]. A stream that broke inside is cut without the
//     end of the HTTP body, so that it never looks complete.
//   - A kept job belongs to its tenant and to no connection: leaving it, or shutting
//     down, stops nothing. Whoever reads it gets its events by their numbers, each
//     once and in order, from whichever frontend (TestResume).
//   - A key for idempotency is claimed after everything that can refuse the request and
//     before anything is made. Whoever finds a claim and nothing behind it makes what
//     it names (TestCreatorDies); of several that do, one does (TestSameKeyAtOnce).
//   - What another tenant has is not there: 404, never 403 (TestNotStored).
//   - A file is in no memory as a whole: an upload is stored as it arrives, a download
//     read as the client takes it. What was not committed is removed.
//   - A client that left is noticed within Config.Poll and its plain job cancelled. One that
//     takes nothing for Config.WriteStall has its connection reset, so that the kernel
//     forgets what is buffered for it; one that takes a little now and then is served.
//     Neither hurts anybody else.
//   - A stream over HTTP/1.0, which knows no chunks, is refused with 505: its end could
//     not be told from a broken connection.
//   - The large bodies that are in memory have a bound together; a body is given up
//     once the queue has it.
//   - What outlives a handler is copied: fiber reuses its buffers.
//   - No prompt, answer or key is in a log line.
package frontend
