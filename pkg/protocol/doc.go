// Package protocol is the wire: OpenAI's chat completions as Osiris accepts and
// sends them. It parses and validates requests, reads and writes server-sent
// events, keeps streams inside the profile that every SDK survives, folds a
// stream into one completion, and knows every error a client may see.
//
// What is asked: strict JSON comes first, then a model, then the messages, then
// everything else, and the first fault in that order is the one reported, in
// OpenAI's words. Only types, enumerations and documented ranges are checked; what
// is merely odd passes, null counts as absent, and unknown members are kept. A
// request's body is retained and forwarded as it came, but for the members that
// EditObject splices. Two readers of an accepted body cannot disagree: duplicate
// keys and text that is not UTF-8 are refused.
//
// The package does no I/O beyond the readers it is given and imports nothing of
// Osiris.
package protocol
