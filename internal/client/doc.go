// Package client speaks OpenAI's API for the command line: files, batches and chat
// completions, of Osiris or of any compatible server.
//
// Rules it keeps:
//
//   - What creates something carries an Idempotency-Key, so that whatever got lost may
//     be sent again.
//   - A connection that breaks is no failure while Config.Patience lasts; each step
//     forward begins it anew. Refusals that repeating cannot mend are returned at once,
//     as *protocol.Error.
//   - A stream whose events are numbered is taken up after the last one seen. One
//     without numbers that broke after text is an error: text is never repeated, and a
//     cut answer never looks whole.
//   - Uploads and downloads are streamed. Nothing holds a file in memory.
package client
