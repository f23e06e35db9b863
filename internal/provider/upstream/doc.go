// Package upstream makes one HTTP call to a model server on behalf of an adapter.
//
// The rules it keeps:
//
//   - Each phase of a call (connect, first token, silence between tokens, the whole)
//     has its own limit, and a call that breaks one ends with an error naming it.
//     Only [Call.Payload] counts as an answer: comments and pings do not. The time
//     that the caller spends on what it received is not the server's silence.
//   - Cancelling the context closes the connection at once, also in the middle of a read.
//   - What a server says when it fails, in whatever shape, becomes one [provider.Error]
//     with OpenAI's four-key envelope. The key that was sent never appears in it.
//   - No more is read than a limit allows: of an error a few KB, of an answer
//     [Config].MaxAnswer, counted after inflating it.
//   - A call costs no goroutine and few allocations: package http1 makes it, in the
//     caller's goroutine. What http1 does not know (a proxy, a server that insists on
//     HTTP/2, an international name) is called by net/http, and behaves the same.
//   - Redirects are refused: a key goes to the configured server and nowhere else.
package upstream
