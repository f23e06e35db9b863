// Package batchfile makes the input files of batches, and checks them before they are
// uploaded.
//
// Rules it keeps:
//
//   - A file is checked by the same code as on the server, so that what passes here is
//     not refused there. Which models there are only the server knows: it is asked.
//   - Every fault names its line. Lines are counted from 1, blank ones too.
//   - Files are streamed: memory is bounded by one line, and by what must be remembered
//     of each to know duplicates.
package batchfile
