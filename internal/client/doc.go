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
//   - A stream that the server keeps is taken up after the last event seen. Where its
//     worker died, the stream is read from the beginning: what was said is not said
//     again, and an attempt that says something else is said whole, after its listener
//     was told. A stream that is not kept and broke after text is an error: a cut answer
//     never looks whole.
//   - Uploads and downloads are streamed. Nothing holds a file in memory.
package client
