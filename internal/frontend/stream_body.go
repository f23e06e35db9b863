package frontend

import (
	"errors"
	"io"
	"net/http"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// body is the answer to a streaming request. The server has it written from the
// connection's goroutine; events are copied straight from the queue's buffer into
// the piece that is sent.
//
// Invariant: rest is empty whenever the stream is asked for the next event, so
// that rest may point into the event before, and a keep-alive never falls inside
// an event.
type body struct {
	call  *call
	rest  []byte // of what comes next
	last  bool   // nothing comes after rest
	begun bool   // a chunk was put

	headed bool // the header is out
	end    bool // the call has ended
}

// Read implements io.Reader. It waits for one event and takes along those that are
// there already.
func (b *body) Read(p []byte) (n int, err error) {
	n = b.take(p)
	for n < len(p) && !b.last {
		if n > 0 && !b.call.stream.Ready() {
			return n, nil
		}
		err := b.advance()
		if err != nil && n > 0 {
			return n, nil // it comes again with the next call
		}
		if err != nil {
			return 0, err
		}
		n += b.take(p[n:])
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (b *body) take(p []byte) int {
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n
}

// advance waits for an event and puts what it means for the client into rest. An
// error means that the connection must be cut.
func (b *body) advance() error {
	c := b.call
	ev, err := c.next(c.cfg.KeepAlive)
	if err != nil {
		return b.interrupted(err)
	}
	switch ev.Kind {
	case jobs.Chunk:
		b.put(ev.Data)
	case jobs.Opened:
		c.opened(ev)
	case jobs.Done:
		b.rest, b.last = []byte(protocol.Done), true
	case jobs.Failed:
		b.fail(ev.Failed())
	case jobs.Answer:
		b.answer(ev.Data)
	}
	return nil
}

// put puts a chunk event. The time to the first one is measured.
func (b *body) put(chunk []byte) {
	if !b.begun {
		b.begun = true
		b.call.srv.metrics.firstToken(b.call)
	}
	b.rest = chunk
}

// answer puts a whole answer, which stands for all events.
func (b *body) answer(whole []byte) {
	if b.begun {
		b.fail(protocol.ErrInternal().Wrap(errors.New("whole answer after a part of it")))
		return
	}
	events, err := b.call.reading.events(nil, whole)
	if err != nil {
		b.fail(protocol.AsError(err))
		return
	}
	b.put(events)
}

// interrupted handles what is no event: silence, or an end from this side.
func (b *body) interrupted(err error) error {
	if errors.Is(err, jobs.ErrSilent) {
		b.rest = []byte(protocol.KeepAlive)
		return nil
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		b.fail(e)
		return nil
	}
	if errors.Is(err, errGone) {
		b.call.conn.cut() // headers may wait to be flushed
	}
	b.call.err = err
	return err
}

// fail puts the closing frame of a stream that cannot go on.
func (b *body) fail(e *protocol.Error) {
	if c := b.call; c.reading == nil || !c.reading.retrieved { // else it was read as it is
		c.status, c.err = e.Status, e
	}
	b.call.stream.Close() // the job is not wanted any more, if it still runs
	b.rest, b.last = append(e.AppendEvent(nil), protocol.Done...), true
}

// CloseWithError ends the call. The server calls it after the last Read, with the
// error that ended the answer, if any.
func (b *body) CloseWithError(err error) error {
	if b.end {
		return nil
	}
	b.end = true
	c := b.call
	if err != nil && !errors.Is(err, errBroken) {
		c.status, c.err = statusGone, err // a write that failed says the same as the watcher
	} else if err != nil {
		c.status, c.err = http.StatusInternalServerError, err
	}
	c.end()
	return nil
}
