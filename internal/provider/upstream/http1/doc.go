// Package http1 is a lean HTTP/1.1 client for calls that send a small request and
// wait long for an answer that comes in small pieces.
//
// The rules it keeps:
//
//   - A call runs in its caller's goroutine: it writes the request with one Write and
//     reads the answer through one small buffer. A connection has no goroutine and,
//     while it is idle, no buffer. Only a body above 64 KB is written by a second
//     goroutine, for a server may answer before it has read it; the call waits for it.
//   - Abort ends a call at once, in whatever it waits: dialling, shaking hands,
//     writing, reading. It closes that call's connection and never another's.
//   - A connection is used again only if the last answer was read to its end, nothing
//     came after it, and neither side wished to close. One that the server closed
//     meanwhile is noticed before use, or, if the request crossed with the closing, the
//     request is sent once more on a new connection; never once a byte of an answer came.
//   - What could be read in two ways is refused: a length with chunks, two lengths,
//     folded header lines, bare line feeds between chunks. Where net/http accepts less,
//     so does this package (RFC 9112; the fuzz test has net/http as its oracle).
//   - No size is the server's choice: headers, chunk lines and trailers have limits.
//   - Nothing that would break a request apart, such as a line feed in a header, is sent.
//
// It knows no proxies, no redirects, no cookies, no compression and no HTTP/2.
package http1
