package jobs

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	recordWindow = 25 * time.Millisecond  // events of an attempt within it share a message
	recordFull   = 64 << 10               // bytes that do not wait
	recordMost   = 1 << 20                // not stored yet: the attempt waits
	recordAgain  = 2 * time.Second        // a message that was not confirmed is published again
	recordPause  = 500 * time.Millisecond // for the word of an attempt without events
	recordGiveUp = 15 * time.Second       // at the end; an attempt without stored events is readable by its result
)

// recorder numbers the events of a kept stream's attempt and stores them. One
// message is under way at a time, so they are stored in order; what comes
// meanwhile is gathered.
type recorder struct {
	attempt uint32
	part    int                              // bytes of events in a message at most
	send    func(number uint64, data []byte) // failing shows as a missing confirmation
	begin   uint64                           // number of the first event

	mu      sync.Mutex
	open    replayMessage // being gathered; its data is a buffer of its own
	queue   [][]byte      // messages in order; the first is under way if sent is set
	number  uint64        // of the first of queue: how many were confirmed before it
	size    int           // bytes in open and queue
	next    uint64        // number of the next event
	sent    time.Time     // when the first of queue was published; zero: it was not
	timer   *time.Timer
	armed   bool
	changed chan struct{} // something was confirmed; one place
	line    []byte        // numbered events; valid until the next call of add
}

// newRecorder returns a recorder whose first event has the number first, and whose
// messages have at most part bytes of events. send publishes a message, whose number
// comes back with its confirmation.
func newRecorder(attempt uint32, first uint64, part int, send func(uint64, []byte)) *recorder {
	r := &recorder{attempt: attempt, part: part, send: send, begin: first, next: first, changed: make(chan struct{}, 1)}
	r.timer = time.AfterFunc(time.Hour, r.flush)
	r.timer.Stop()
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
		for i := uint32(0); len(m.data) > r.part; i++ {
			part := replayMessage{kind: replayPart, attempt: m.attempt, first: m.first, count: i, data: m.data[:r.part]}
			m.data = m.data[r.part:]
			r.queue = append(r.queue, appendReplay(make([]byte, 0, replayHeader+r.part), &part))
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
		r.send(r.number, r.queue[0])
	}
}

// confirm takes the broker's answer to the message of that number. Of one that was
// published twice the second answer comes while another message is under way.
func (r *recorder) confirm(number uint64, answer []byte) {
	var ack pubAck
	stored := json.Unmarshal(answer, &ack) == nil && ack.Error == nil && ack.Seq > 0
	r.mu.Lock()
	defer r.mu.Unlock()
	if !stored || len(r.queue) == 0 || r.sent.IsZero() || number != r.number {
		return // again says it once more
	}
	r.size -= len(r.queue[0]) - replayHeader
	r.queue = r.queue[1:]
	r.number++
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
	r.send(r.number, r.queue[0])
	return true
}

// finish waits until everything is stored and returns the number of the last
// event; 0 if it was not stored in time, and cannot be replayed whole.
func (r *recorder) finish(ctx context.Context) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealLocked()
	if !r.drainLocked(ctx, recordGiveUp) {
		return 0
	}
	return r.next - 1
}

// drainLocked waits until all that is in line is stored, and reports whether it is.
// It gives the lock away while it waits.
func (r *recorder) drainLocked(ctx context.Context, most time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for len(r.queue) > 0 && ctx.Err() == nil {
		r.mu.Unlock()
		select {
		case <-r.changed:
		case <-ctx.Done():
		}
		r.mu.Lock()
	}
	return len(r.queue) == 0
}

// mark stores a message that is no event.
func (r *recorder) mark(kind replayKind, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.markLocked(kind, data)
}

func (r *recorder) markLocked(kind replayKind, data []byte) {
	r.sealLocked()
	m := replayMessage{kind: kind, attempt: r.attempt, first: r.next, data: data}
	r.queue = append(r.queue, appendReplay(nil, &m))
	r.size += len(data)
	r.pumpLocked()
}

// giveUp says of an attempt without events that the next one begins in its place. It
// waits a little until that is stored; else the next one begins further on.
func (r *recorder) giveUp(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == r.begin {
		r.markLocked(replayGaveUp, nil)
		r.drainLocked(ctx, recordPause)
	}
}

func (k *Consumer) onReplayAck(m *nats.Msg) {
	key := lastToken(m.Subject)
	number, err := strconv.ParseUint(m.Subject[lastToken(m.Subject[:key-1]):key-1], 36, 64)
	if err != nil {
		return
	}
	k.mu.Lock()
	a := k.attempts[m.Subject[key:]]
	k.mu.Unlock()
	if a == nil {
		return
	}
	if rec := a.kept.rec.Load(); rec != nil {
		rec.confirm(number, m.Data)
	}
}
