package worker

import (
	"bytes"
	"errors"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// events is where an answer goes: a *jobs.Attempt.
type events interface {
	Opened(t jobs.Timing) error
	Chunk(sse []byte) error
	Answer(body []byte) error
}

// output turns what a provider says into events of one attempt. It is used for
// the attempt's calls one after the other: begin, what the provider says, end.
//
// Events are held back until the first that carries something of the answer: a
// server that only said "assistant" before it failed can still be replaced. From
// then on those of all chunks that arrived in one read leave together, as one event of
// the attempt, when the provider is about to wait for more: a fast model's chunks
// share the locks, the frame and the copies on their way instead of paying for each.
//
// Invariant: opened is set before the first event leaves and never reset.
type output struct {
	to           events
	chat         *protocol.Request // its body is dropped once no other call can need it
	env          protocol.Envelope
	stream       bool // the client wants a stream
	includeUsage bool

	start  time.Time   // of the attempt in this worker
	timing jobs.Timing // of the call under way or the last one
	began  time.Time   // that call

	writer  *protocol.StreamWriter // of that call; nil before its first chunk
	buf     []byte                 // events not sent yet, or the whole answer; reused
	opened  bool
	first   time.Duration // from the call to its first event
	whole   bool          // one JSON answer was given
	usage   protocol.Usage
	finish  string
	refused error // what `to` returned
}

const (
	holdMost  = 64 << 10 // bytes of events held back before the first payload
	shareMost = 32 << 10 // bytes of events that leave together
)

var (
	errMixed      = errors.New("a whole answer beside other output")
	errUnfinished = errors.New("no finish reason")
)

// begin starts over for another call.
func (o *output) begin(now time.Time) {
	o.began = now
	o.timing.Worker, o.timing.Model = now.Sub(o.start), 0
	o.writer = nil
	o.buf, o.whole, o.usage, o.finish = o.buf[:0], false, protocol.Usage{}, ""
}

// Chunk implements provider.Output.
func (o *output) Chunk(c *protocol.Chunk) error {
	if o.whole {
		return misunderstood(errMixed)
	}
	o.buf = o.chunks().Append(o.buf, c)
	if !o.opened {
		if !carries(c) && len(o.buf) < holdMost {
			return nil
		}
		if err := o.tell(); err != nil {
			return err
		}
	}
	if len(o.buf) < shareMost {
		return nil
	}
	return o.flush()
}

// chunks returns the writer of the call under way: most whole answers need none.
func (o *output) chunks() *protocol.StreamWriter {
	if o.writer == nil {
		o.writer = protocol.NewStreamWriter(o.env, o.includeUsage)
	}
	return o.writer
}

// Flush implements provider.Output.
func (o *output) Flush() error {
	if !o.opened {
		return nil
	}
	return o.flush()
}

// Answer implements provider.Output.
func (o *output) Answer(body []byte) error {
	if o.whole || o.opened {
		return misunderstood(errMixed)
	}
	if o.stream {
		return o.split(body)
	}
	answer, err := protocol.NormalizeAnswer(o.buf[:0], body, o.env)
	if err != nil {
		return misunderstood(err)
	}
	o.whole, o.usage, o.finish = true, answer.Usage, answer.FinishReason
	if cap(answer.Body) > cap(o.buf) {
		o.buf = answer.Body[:0]
	}
	o.open() // nobody waits for a first token
	return o.sent(o.to.Answer(answer.Body))
}

// split gives a whole answer to a client that streams.
func (o *output) split(body []byte) error {
	chunks, err := protocol.SplitAnswer(body)
	if err != nil {
		return misunderstood(err)
	}
	for i := range chunks {
		if err := o.Chunk(&chunks[i]); err != nil {
			return err
		}
	}
	return nil
}

// end closes the answer of a call that the provider says is complete.
func (o *output) end() error {
	defer func() { o.timing.Model = time.Since(o.began) }()
	if o.whole {
		return nil
	}
	buf, err := o.chunks().AppendEnd(o.buf)
	if err != nil {
		return unfinished(err)
	}
	o.buf = buf
	if o.FinishReason() == "" {
		return unfinished(errUnfinished)
	}
	if !o.opened {
		if err := o.tell(); err != nil {
			return err
		}
	}
	return o.flush()
}

// open notes that the first of the answer is about to leave.
func (o *output) open() {
	o.opened = true
	o.chat.Body = nil // no other target may answer any more
	o.first = time.Since(o.began)
	o.timing.Model = o.first
}

// tell opens the answer, and says so to whoever reads it piece by piece.
func (o *output) tell() error {
	o.open()
	return o.sent(o.to.Opened(o.timing))
}

func (o *output) flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	err := o.to.Chunk(o.buf)
	o.buf = o.buf[:0]
	return o.sent(err)
}

// sent remembers that an error is ours and not the provider's.
func (o *output) sent(err error) error {
	if err != nil {
		o.refused = err
	}
	return err
}

// Usage is what the call under way, or the last one, reported so far.
func (o *output) Usage() protocol.Usage {
	if o.whole || o.writer == nil {
		return o.usage
	}
	usage, _ := o.writer.Usage()
	return usage
}

// FinishReason is the first choice's, "" before it came.
func (o *output) FinishReason() string {
	if o.whole || o.writer == nil {
		return o.finish
	}
	return o.writer.FinishReason()
}

// carries reports whether c says more than that an answer has begun.
func carries(c *protocol.Chunk) bool {
	for i := range c.Choices {
		ch := &c.Choices[i]
		if says(ch.Content) || says(ch.Refusal) || len(ch.ToolCalls) > 0 || ch.FunctionName != nil ||
			says(ch.FunctionArguments) || len(ch.DeltaExtra) > 0 || ch.Logprobs != nil || ch.FinishReason != "" {
			return true
		}
	}
	return false
}

// says reports whether a span of JSON is neither absent, null nor the empty string.
func says(span []byte) bool {
	return len(span) > 0 && !bytes.Equal(span, []byte(`""`)) && !bytes.Equal(span, []byte("null"))
}

// misunderstood is the fault of a server whose answer makes no sense. Where the
// cause is fit for the client, it is what the client sees.
func misunderstood(cause error) error {
	public, ok := errors.AsType[*protocol.Error](cause)
	if !ok || public.Status < 500 {
		public = protocol.ErrUpstream("The model's server sent an answer that could not be understood.")
	}
	return &provider.Error{Public: public, Retry: true, Fallback: true, Cause: cause}
}

// unfinished is the fault of a server that ended its answer too early.
func unfinished(cause error) error {
	return &provider.Error{
		Public: protocol.ErrUpstream("The model's server ended its answer before it was complete."),
		Retry:  true, Fallback: true, Cause: cause,
	}
}
