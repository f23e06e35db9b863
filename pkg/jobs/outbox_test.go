package jobs

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestOutbox adds frames and says how many messages have left when nobody can run, and
// when the window has passed.
func TestOutbox(t *testing.T) {
	for name, c := range map[string]struct {
		streams  int
		after    time.Duration // since a message was sent
		frames   int
		haste    haste
		messages int
		later    int
	}{
		"few streams":               {streams: fewStreams, frames: 3, messages: 3, later: 3},
		"few streams, held":         {streams: 1, after: time.Second, frames: 1, haste: patient, later: 1},
		"many streams, quiet":       {streams: 9, after: quietPeriod, frames: 3, messages: 1, later: 1},
		"many streams, just sent":   {streams: 9, after: quietPeriod - 1, frames: 3, later: 1},
		"many streams, many frames": {streams: 9, frames: manyFrames, messages: 1, later: 1},
		"many streams, held":        {streams: 9, after: time.Second, frames: 1, haste: patient, later: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				messages, frames := 0, 0 // guarded by the outbox's lock
				o := newOutbox(func(_ string, data []byte) error {
					messages++
					for rest := data[1:]; len(rest) > 0; frames++ {
						var err error
						if _, rest, err = nextFrame(rest); err != nil {
							t.Fatal(err)
						}
					}
					return nil
				}, "many", maxWindow)
				for range c.streams {
					o.join()
				}
				o.last = time.Now().Add(-c.after)
				for range c.frames {
					o.add("one", &frame{data: []byte("text")}, c.haste)
				}
				sent := func() (int, int) {
					synctest.Wait()
					o.mu.Lock()
					defer o.mu.Unlock()
					return messages, frames
				}
				if got, _ := sent(); got != c.messages {
					t.Errorf("%d messages at once, want %d", got, c.messages)
				}
				<-time.After(maxWindow)
				if got, of := sent(); got != c.later || of != c.frames {
					t.Errorf("%d messages of %d frames, want %d of %d", got, of, c.later, c.frames)
				}
				o.close()
			})
		})
	}
}

// A window runs on when what waited for it has left; what comes after a quiet time does
// not wait for its end.
func TestOutboxQuietWithinWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Duration // guarded by the outbox's lock
		began := time.Now()
		o := newOutbox(func(string, []byte) error { sent = append(sent, time.Since(began)); return nil }, "many", maxWindow)
		for range 2 * fewStreams {
			o.join()
		}
		o.last = began
		add := func(frames int) {
			for range frames {
				o.add("one", &frame{data: []byte("text")}, sociable)
			}
			synctest.Wait()
		}
		add(1) // waits
		add(manyFrames)
		<-time.After(quietPeriod)
		add(1)
		add(1) // waits, for the end of the first window
		<-time.After(maxWindow)
		synctest.Wait()
		o.mu.Lock()
		defer o.mu.Unlock()
		if want := []time.Duration{0, quietPeriod, maxWindow}; !slices.Equal(sent, want) {
			t.Errorf("sent after %v, want %v", sent, want)
		}
	})
}

// BenchmarkOutbox is the cost of a frame among those of many streams.
func BenchmarkOutbox(b *testing.B) {
	o := newOutbox(func(string, []byte) error { return nil }, "many", maxWindow)
	for range 2 * fewStreams {
		o.join()
	}
	f := frame{data: make([]byte, 200)}
	b.ReportAllocs()
	for b.Loop() {
		o.add("one", &f, sociable)
	}
	o.close()
}
