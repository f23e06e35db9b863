// Package mockmodel is a simulated model as an OpenAI-compatible server, made to cost so
// little that what stands before it is what a benchmark measures.
//
//	POST /v1/chat/completions  streamed and whole
//	GET  /v1/models            one model
//	GET  /stats                requests begun, finished, failed on purpose, left by the client
//
// Rules it keeps:
//
//   - What it says is a function of the request (package answer). Without a mark in the
//     prompt it is the same for every request.
//   - An event leaves as soon as it is due, in one Write of its own, as of a model server
//     that flushes each token. Times are counted from the request's arrival, so that being
//     late once delays nothing after it.
//   - A connection is one goroutine. It notices a client that leaves while it waits.
//   - It speaks HTTP/1.1 with the connection itself: package net/http would cost as much as
//     a proxy.
package mockmodel
