// Package service is what every program of Osiris shares: flags, the connection to the
// queue, the admin port, signals, reloading, and the order of starting and stopping.
// What a program does is in its parts, which are handed in: packages below this one
// make a frontend (frontendpart), a worker (workerpart) and a NATS of its own (local).
// So cmd/frontend links no provider, and cmd/worker no HTTP framework.
//
// Starting goes bottom up, and each step says what is wrong and what to do about it:
//
//	admin port -> NATS -> queue -> parts in their order -> ready
//
// A worker comes before the first key and the frontend: whoever reads that it is ready
// gets an answer.
//
// Stopping goes top down and takes no longer than the grace periods:
//
//	readiness false -> frontend lets open requests end -> worker lets running jobs
//	end and hands back the rest -> queue connection -> NATS -> admin port
//
// that is, the parts in the opposite order.
//
// The rules it keeps:
//
//   - Run returns nil after a graceful stop, and only once nothing it started runs.
//   - A frontend listens beyond this machine only once an API key exists, or with
//     allow_anonymous.
//   - A reload replaces what the next request and the next job use; running ones
//     go on with what they began with.
package service
