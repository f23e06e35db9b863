package jobs

import (
	"sync"
	"time"
)

// How long frames wait for their neighbours. A window is worth it only where many
// streams share it: a lone client would feel it and nobody gain.
const (
	quietPeriod = 500 * time.Microsecond // nothing sent for so long: send at once
	maxWindow   = time.Millisecond       // longest wait of a frame
	fewStreams  = 8                      // up to so many active streams nothing waits
	maxOutbox   = 64 << 10               // bytes that are sent without waiting further
)

// publish sends a message; data may be reused when it returns.
type publish func(subject string, data []byte) error

// outbox collects frames for one receiver and sends them together. A frame waits
// at most one window. Sending errors are dropped: a receiver that misses frames
// asks for them again.
type outbox struct {
	send   publish
	many   string        // subject for frames of several jobs
	window time.Duration // longest wait of a frame

	mu      sync.Mutex
	buf     []byte // version byte and frames; empty when nothing waits
	only    string // subject of the one job whose frames are in buf; "" for several
	last    time.Time
	timer   *time.Timer
	armed   bool
	streams int // active streams
}

func newOutbox(send publish, many string, window time.Duration) *outbox {
	o := &outbox{send: send, many: many, window: window}
	o.timer = time.AfterFunc(time.Hour, o.flush)
	o.timer.Stop()
	return o
}

// join and leave count the active streams.
func (o *outbox) join() { o.mu.Lock(); o.streams++; o.mu.Unlock() }

func (o *outbox) leave() { o.mu.Lock(); o.streams--; o.mu.Unlock() }

// add queues a frame, to be sent to subject if it leaves without frames of other
// jobs. With hold it waits for the next frame or the window, however quiet it is.
func (o *outbox) add(subject string, f *frame, hold bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open(subject, frameHeader+len(f.data))
	o.buf = appendFrame(o.buf, f)
	o.schedule(hold)
}

// addEncoded queues frames that are encoded already, and sends at once.
func (o *outbox) addEncoded(subject string, frames []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open(subject, len(frames))
	o.buf = append(o.buf, frames...)
	o.flushLocked()
}

// open makes buf ready for size bytes of frames for subject.
func (o *outbox) open(subject string, size int) {
	if len(o.buf) > 0 && len(o.buf)+size > maxOutbox+maxFrameData {
		o.flushLocked()
	}
	switch {
	case len(o.buf) == 0:
		o.buf = append(o.buf, frameVersion)
		o.only = subject
	case o.only != subject:
		o.only = ""
	}
}

func (o *outbox) schedule(hold bool) {
	if len(o.buf) > maxOutbox {
		o.flushLocked()
		return
	}
	if o.armed {
		if !hold && o.streams <= fewStreams {
			o.flushLocked()
		}
		return
	}
	if !hold && (o.streams <= fewStreams || time.Since(o.last) >= quietPeriod) {
		o.flushLocked()
		return
	}
	o.armed = true
	o.timer.Reset(o.window)
}

// idle is for how long nothing was sent.
func (o *outbox) idle(now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return now.Sub(o.last)
}

func (o *outbox) flush() {
	o.mu.Lock()
	o.flushLocked()
	o.mu.Unlock()
}

func (o *outbox) flushLocked() {
	if o.armed {
		o.timer.Stop()
		o.armed = false
	}
	if len(o.buf) == 0 {
		return
	}
	subject := o.only
	if subject == "" {
		subject = o.many
	}
	_ = o.send(subject, o.buf)
	o.buf = o.buf[:0]
	if cap(o.buf) > maxOutbox+2*maxFrameData {
		o.buf = nil
	}
	o.last = time.Now()
}
