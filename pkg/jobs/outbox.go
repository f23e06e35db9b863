package jobs

import (
	"runtime"
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
	manyFrames  = 8                      // so many are worth a message of their own
	manyHeld    = 128                    // so many of those that can wait are
	mostTurns   = 8                      // that others are given to add to a message
)

// publish sends a message; data may be reused when it returns.
type publish func(subject string, data []byte) error

// outbox collects frames for one receiver and sends them together. Sending errors are
// dropped: a receiver that misses frames asks for them again.
//
// Up to a few active streams each frame is sent at once. With more, whoever can run now
// has its turn first: streams whose pieces arrived together, which is how a busy worker
// is woken, fill one message, and no clock is asked to wait for them. What that brought
// together is sent, unless it is little and the last message is just gone: then it waits
// for more, at most one window.
type outbox struct {
	send   publish
	many   string        // subject for frames of several jobs
	window time.Duration // longest wait of a frame

	mu      sync.Mutex
	buf     []byte // version byte and frames; empty when nothing waits
	only    string // subject of the one job whose frames are in buf; "" for several
	last    time.Time
	timer   *time.Timer
	armed   bool // the timer runs
	held    bool // frames wait for it
	frames  int  // in buf
	turns   bool // takeTurns runs
	streams int  // active streams
	taking  sync.WaitGroup
}

func newOutbox(send publish, many string, window time.Duration) *outbox {
	o := &outbox{send: send, many: many, window: window}
	o.timer = time.AfterFunc(time.Hour, o.windowOver)
	o.timer.Stop()
	return o
}

// join and leave count the active streams.
func (o *outbox) join() { o.mu.Lock(); o.streams++; o.mu.Unlock() }

func (o *outbox) leave() { o.mu.Lock(); o.streams--; o.mu.Unlock() }

// haste is how a frame waits for its neighbours.
type haste uint8

const (
	sociable haste = iota // as described above
	patient               // for the window or many others, however quiet it is
)

// add queues a frame, to be sent to subject if it leaves without frames of other
// jobs.
func (o *outbox) add(subject string, f *frame, h haste) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open(subject, frameHeader+len(f.data))
	o.buf = appendFrame(o.buf, f)
	o.frames++
	o.schedule(h)
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

func (o *outbox) schedule(h haste) {
	switch {
	case len(o.buf) > maxOutbox, h != patient && o.streams <= fewStreams, h == patient && o.frames >= manyHeld:
		o.flushLocked()
	case h == patient:
		o.arm()
	case !o.turns && (!o.held || o.frames >= manyFrames):
		o.turns = true
		o.taking.Go(o.takeTurns)
	}
}

// arm has frames wait for the end of a window. Nothing stops one that runs: a timer that is
// moved while it is pending has the runtime look through all timers of the program, some of
// each stream, to find the next.
func (o *outbox) arm() {
	o.held = true
	if !o.armed {
		o.armed = true
		o.timer.Reset(o.window)
	}
}

// windowOver sends what waits, also if it came after the window began.
func (o *outbox) windowOver() {
	o.mu.Lock()
	o.armed = false
	o.flushLocked()
	o.mu.Unlock()
}

// takeTurns lets others run as long as they add frames, then sends or lets the window
// run.
func (o *outbox) takeTurns() {
	for before, turn := 0, 0; turn < mostTurns; turn++ {
		runtime.Gosched()
		o.mu.Lock()
		now := o.frames
		o.mu.Unlock()
		if now == before {
			break
		}
		before = now
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turns = false
	switch {
	case len(o.buf) == 0:
	case o.frames >= manyFrames, time.Since(o.last) >= quietPeriod:
		o.flushLocked()
	default:
		o.arm()
	}
}

// close sends what waits; nothing may be added any more.
func (o *outbox) close() {
	o.flush()
	o.taking.Wait()
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
	o.held = false
	if len(o.buf) == 0 {
		return
	}
	subject := o.only
	if subject == "" {
		subject = o.many
	}
	_ = o.send(subject, o.buf)
	o.buf, o.frames = o.buf[:0], 0
	if cap(o.buf) > maxOutbox+2*maxFrameData {
		o.buf = nil
	}
	o.last = time.Now()
}
