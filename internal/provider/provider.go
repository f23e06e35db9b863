// Package provider is the seam between a worker and the servers that run models:
// one small interface, its errors, and (in packages below) one adapter for each
// kind of server.
package provider

import (
	"context"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// Provider calls one model server.
type Provider interface {
	// Complete asks the server to answer req and hands what it says to out, in
	// order, from the calling goroutine. It returns nil once the answer was
	// complete: a finish reason for every choice, or one whole answer. It blocks
	// until then, until ctx ends (then it returns context.Cause(ctx)) or until a
	// time-out of its own; an error that out returned is returned as it is. Any
	// other error is an *Error. Safe for concurrent use.
	Complete(ctx context.Context, req *Request, out Output) error
	// Models lists what the server offers, for the catalogue.
	Models(ctx context.Context) ([]Model, error)
}

// Output receives an answer. Either Chunk is called any number of times, or
// Answer is called once.
type Output interface {
	// Chunk takes a piece of a streamed answer. c and the spans in it are valid
	// only during the call. What it took may be kept until Flush, or until Complete
	// returns.
	Chunk(c *protocol.Chunk) error
	// Flush hands on what Chunk took. A provider calls it whenever it is about to
	// wait for the server: pieces that arrived together travel on together, and none
	// waits for one that has not arrived.
	Flush() error
	// Answer takes a whole chat.completion object as the server sent it. body is
	// valid only during the call.
	Answer(body []byte) error
}

// Request is one chat completion to be had from a provider.
type Request struct {
	Model   string            // the server's name for the model
	Chat    *protocol.Request // what the client asked, validated; its Body is gone once Output took something
	Stream  bool              // call the server streaming (adapters that can only stream ignore it)
	JobID   string            // for the server's request log, where it takes one
	Limits  Limits            // time limits of this call
	Profile Profile           // what the model can do, where an adapter must know
}

// Limits bound the phases of a call. Zero means no limit.
type Limits struct {
	Connect    time.Duration // dial, TLS and sending the request
	FirstToken time.Duration // from there to the first payload; a plain call that has Total has no other limit for it
	Idle       time.Duration // between payloads; comments and pings do not count
	Total      time.Duration // everything
}

// Profile is the capability row of a model.
type Profile struct {
	Sampling         string // "full", "one" (temperature or top_p, not both), "none"; "" is the adapter's own table
	Thinking         string // "budget", "adaptive", "none"; "" is the adapter's own table
	StructuredOutput *bool  // nil is the adapter's own table
	MaxOutput        int    // tokens; 0 is the adapter's own table
}

// Model is an entry of a server's model list.
type Model struct {
	ID      string
	Created int64 // unix seconds; 0 if the server did not say
	OwnedBy string
}

// Error is why a call failed, and what may help.
type Error struct {
	Public     *protocol.Error // what the client sees if nothing helps
	Retry      bool            // the same target may succeed later
	Fallback   bool            // another target may succeed
	RetryAfter time.Duration   // the server's wish; 0 if it said nothing
	Operator   string          // not empty: needs an operator (a refused key, a missing balance); one log line
	Cause      error           // for logs; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Public.Message + ": " + e.Cause.Error()
	}
	return e.Public.Message
}

// Unwrap returns the client's view and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause != nil {
		return []error{e.Public, e.Cause}
	}
	return []error{e.Public}
}
