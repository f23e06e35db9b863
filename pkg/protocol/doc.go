// Package protocol is the wire: OpenAI's chat completions as Osiris accepts and
// sends them. It parses and validates requests, reads and writes server-sent
// events, keeps streams inside the profile that every SDK survives, folds a
// stream into one completion, and knows every error a client may see.
//
// The package does no I/O beyond the readers it is given and imports nothing of
// Osiris.
package protocol
