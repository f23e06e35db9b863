// Package embedded runs a NATS server with JetStream inside the process, for
// osiris up and for commands that need the data while nothing runs.
//
// The rules it keeps:
//
//   - One process per data folder: a lock that the system gives back however the
//     process ends. NATS itself would let two servers corrupt one store.
//   - The listener asks for a token that only the user who owns the folder can
//     read, in connection.json beside the data while the server runs.
//   - Signals are the program's business, never the server's.
package embedded
