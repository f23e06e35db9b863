package jobs

import (
	"context"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	recordWindow = 25 * time.Millisecond // events of an attempt within it share a message
	recordFull   = 64 << 10              // bytes that do not wait
	recordMost   = 1 << 20               // not stored yet: the attempt waits
	recordAgain  = 2 * time.Second       // a message that was not confirmed is published again
	recordPause  = 100 * time.Millisecond
	recordGiveUp = 15 * time.Second // at the end; an attempt without stored events is readable by its result
)

// recorder numbers the events of a kept stream's attempt and stores them. One
// message is under way at a time, so they are stored in order; what comes
// meanwhile is gathered.
type recorder struct {
	attempt uint32
	send    func(data []byte) // failing shows as a missing confirmation

	mu      sync.Mutex
	open    replayMessage // being gathered; its data is a buffer of its own
	queue   [][]byte      // messages in order; the first is under way if sent is set
	size    int           // bytes in open and queue
	next    uint64        // number of the next event
	sent    time.Time     // when the first of queue was published; zero: it was not
	timer   *time.Timer
	armed   bool
	changed chan struct{} // something was confirmed; one place
	line    []byte        // numbered events; valid until the next call of add
}

// newRecorder begins with a message that says so; first numbers the first event.
func newRecorder(attempt uint32, first uint64, about []byte, send func([]byte)) *recorder {
	r := &recorder{attempt: attempt, send: send, next: first, changed: make(chan struct{}, 1)}
	r.timer = time.AfterFunc(time.Hour, r.flush)
	r.timer.Stop()
	r.mark(replayStarted, about)
	return r
}

// add numbers the server-sent events in sse, keeps them for storing and returns
// them with their numbers, valid until the next call. While too much is not stored
// yet it blocks, until ctx ends.
func (r *recorder) add(ctx context.Context, sse []byte) ([]byte, error) {
	r.mu.Lock()
	for r.size > recordMost {
		r.mu.Unlock()
		select {
		case <-r.changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	if r.open.count == 0 {
		r.open = replayMessage{kind: replayChunk, attempt: r.attempt, first: r.next, data: r.open.data[:0]}
	}
	before := r.next
	r.line, r.next = protocol.AppendNumbered(r.line[:0], sse, r.next)
	r.open.count += uint32(r.next - before)
	r.open.data = append(r.open.data, r.line...)
	r.size += len(r.line)
	switch {
	case len(r.open.data) > recordFull:
		r.sealLocked()
	case !r.armed:
		r.armed = true
		r.timer.Reset(recordWindow)
	}
	return r.line, nil
}

func (r *recorder) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealLocked()
}

// sealLocked puts what was gathered in line.
func (r *recorder) sealLocked() {
	r.timer.Stop()
	r.armed = false
	if r.open.count > 0 {
		m := r.open
		for i := uint32(0); len(m.data) > maxPart; i++ {
			part := replayMessage{kind: replayPart, attempt: m.attempt, first: m.first, count: i, data: m.data[:maxPart]}
			m.data = m.data[maxPart:]
			r.queue = append(r.queue, appendReplay(make([]byte, 0, replayHeader+maxPart), &part))
		}
		r.queue = append(r.queue, appendReplay(make([]byte, 0, replayHeader+len(m.data)), &m))
		r.open.count = 0
	}
	r.pumpLocked()
}

// pumpLocked publishes the next message unless one is under way.
func (r *recorder) pumpLocked() {
	if len(r.queue) > 0 && r.sent.IsZero() {
		r.sent = time.Now()
		r.send(r.queue[0])
	}
}

// confirm takes the broker's answer to the message under way.
func (r *recorder) confirm(answer []byte) {
	var ack pubAck
	stored := json.Unmarshal(answer, &ack) == nil && ack.Error == nil && ack.Seq > 0
	r.mu.Lock()
	defer r.mu.Unlock()
	if !stored || len(r.queue) == 0 || r.sent.IsZero() {
		return // again says it once more
	}
	r.size -= len(r.queue[0]) - replayHeader
	r.queue = r.queue[1:]
	r.sent = time.Time{}
	r.pumpLocked()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// again publishes the message under way once more if it was not confirmed in time.
// Readers know events they have seen by their numbers.
func (r *recorder) again(now time.Time) (late bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent.IsZero() || now.Sub(r.sent) < recordAgain {
		return false
	}
	r.sent = now
	r.send(r.queue[0])
	return true
}

// finish waits until everything is stored and returns the number of the last
// event; 0 if it was not stored in time, and cannot be replayed whole.
func (r *recorder) finish(ctx context.Context) uint64 {
	ctx, cancel := context.WithTimeout(ctx, recordGiveUp)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealLocked()
	for len(r.queue) > 0 {
		r.mu.Unlock()
		select {
		case <-r.changed:
		case <-ctx.Done():
		}
		r.mu.Lock()
		if ctx.Err() != nil && len(r.queue) > 0 {
			return 0
		}
	}
	return r.next - 1
}

// mark stores a message that is no event.
func (r *recorder) mark(kind replayKind, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealLocked()
	m := replayMessage{kind: kind, attempt: r.attempt, first: r.next, data: data}
	r.queue = append(r.queue, appendReplay(nil, &m))
	r.size += len(data)
	r.pumpLocked()
}

func (k *Consumer) onReplayAck(m *nats.Msg) {
	k.mu.Lock()
	a := k.attempts[m.Subject[lastToken(m.Subject):]]
	k.mu.Unlock()
	if a == nil {
		return
	}
	if rec := a.kept.rec.Load(); rec != nil {
		rec.confirm(m.Data)
	}
}
