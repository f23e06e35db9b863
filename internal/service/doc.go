// Package service puts a program together from its configuration: the embedded
// NATS, a frontend, a worker, the admin port, reloading and the order of stopping.
// cmd/osiris, cmd/frontend and cmd/worker are this package with other roles.
//
// Starting goes bottom up, and each step says what is wrong and what to do about it:
//
//	admin port -> NATS -> queue -> worker -> first key -> frontend -> ready
//
// Stopping goes top down and takes no longer than the grace periods:
//
//	readiness false -> frontend lets open requests end -> worker lets running jobs
//	end and hands back the rest -> queue connection -> NATS -> admin port
//
// The rules it keeps:
//
//   - Run returns nil after a graceful stop, and only once nothing it started runs.
//   - A frontend listens beyond this machine only once an API key exists, or with
//     allow_anonymous.
//   - A reload replaces what the next request and the next job use; running ones
//     go on with what they began with.
package service
