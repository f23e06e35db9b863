package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// acks hands the broker's words on stored messages to those who wait for them. The
// library's requests do that too; a context, a timer and a channel made for each cost
// a kept job as much as its writes. Safe for concurrent use.
type acks struct {
	nc    *nats.Conn
	inbox string // and the number of whoever waits

	idle sync.Pool // of *ackWait

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*ackWait
}

// ackWait is one who waits.
type ackWait struct {
	number uint64
	came   chan *nats.Msg // holds one
	timer  *time.Timer    // stopped while nobody waits
}

func newAcks(nc *nats.Conn) (*acks, error) {
	a := &acks{nc: nc, inbox: nats.NewInbox() + ".", waiting: map[uint64]*ackWait{}}
	a.idle.New = func() any {
		w := &ackWait{came: make(chan *nats.Msg, 1), timer: time.NewTimer(time.Hour)}
		w.timer.Stop()
		return w
	}
	_, err := nc.Subscribe(a.inbox+"*", a.on)
	return a, err
}

func (a *acks) on(m *nats.Msg) {
	number, err := strconv.ParseUint(m.Subject[len(a.inbox):], 36, 64)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.waiting[number]; w != nil {
		delete(a.waiting, number)
		w.came <- m
	}
}

// store publishes m and waits for the broker's word that it is stored, attemptTimeout
// at most. A refusal is a *jetstream.APIError.
func (a *acks) store(ctx context.Context, m *nats.Msg) error {
	w, err := a.send(m)
	if err != nil {
		return err
	}
	return a.await(ctx, w)
}

// send publishes m. Without an error, await must follow.
func (a *acks) send(m *nats.Msg) (*ackWait, error) {
	w := a.idle.Get().(*ackWait)
	a.mu.Lock()
	a.last++
	w.number = a.last
	a.waiting[w.number] = w
	a.mu.Unlock()
	m.Reply = a.inbox + strconv.FormatUint(w.number, 36)
	if err := a.nc.PublishMsg(m); err != nil {
		a.leave(w)
		return nil, err
	}
	w.timer.Reset(attemptTimeout)
	return w, nil
}

// await waits for the word on what was sent.
func (a *acks) await(ctx context.Context, w *ackWait) error {
	defer a.leave(w)
	select {
	case word := <-w.came:
		return ackError(word)
	case <-w.timer.C:
		return nats.ErrTimeout
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave makes w one that nothing comes to.
func (a *acks) leave(w *ackWait) {
	w.timer.Stop()
	a.mu.Lock()
	delete(a.waiting, w.number)
	select {
	case <-w.came:
	default:
	}
	a.mu.Unlock()
	a.idle.Put(w)
}

// ackError is nil if the broker's word is that it stored the message.
func ackError(word *nats.Msg) error {
	if len(word.Data) == 0 && word.Header.Get("Status") == "503" {
		return nats.ErrNoResponders
	}
	if _, ok := plainAck(word.Data); ok {
		return nil
	}
	var ack struct {
		Stream string              `json:"stream"`
		Error  *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(word.Data, &ack); {
	case err == nil && ack.Error != nil:
		return ack.Error
	case err != nil, ack.Stream == "":
		return jetstream.ErrInvalidJSAck
	}
	return nil
}

// plainAck reports whether b is what a broker says of a message that it stored, and
// its sequence: {"stream":"NAME", "seq":7}, with more members or without. False may be
// one too.
func plainAck(b []byte) (seq uint64, ok bool) {
	rest, ok := bytes.CutPrefix(b, []byte(`{"stream":"`))
	if !ok {
		return 0, false
	}
	name := bytes.IndexByte(rest, '"')
	if name <= 0 || bytes.IndexByte(rest[:name], '\\') >= 0 {
		return 0, false
	}
	rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest[name+1:], ", "), []byte(`"seq":`))
	more := bytes.TrimLeft(rest, "0123456789")
	if !ok || string(more) != "}" && (!bytes.HasPrefix(more, []byte(",")) || bytes.Contains(more, []byte(`"error"`))) {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(rest[:len(rest)-len(more)]), 10, 64)
	if err != nil {
		return 0, false
	}
	return seq, true
}
