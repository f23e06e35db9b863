// Package e2e tests the whole system as those see it who use it: OpenAI's SDKs, plain
// HTTP clients, model servers of every kind, and operators who kill things.
//
// Two shapes of it are tested. Most tests run service.Run, the code of all programs,
// inside the test binary, with a scripted model server behind the openai adapter.
// Those about processes build cmd/frontend and cmd/worker, run them beside a NATS in
// a process of its own (the test binary, started again), and end them as crashes and
// orchestrators do.
//
// Rules that every test here holds the system to:
//
//   - A stream is either whole, with a finish reason and [DONE], or ends with exactly
//     one error event and [DONE] and has no finish reason; its text is a prefix of the
//     right one in both cases.
//   - A JSON answer is right to the byte or an error with OpenAI's four keys.
//   - When nobody waits any more, no call is open at a model server and no job is in a
//     queue, and what was used is on record.
//
// The tests need nothing but Go. With -short those that start processes or move
// hundreds of megabytes are skipped. With -silence=30s (after the package's name) the
// model is silent before the default keep-alive instead of a short one.
package e2e
