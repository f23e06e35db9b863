package integration

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSystem starts the containers once: the tests below it share them, in this order.
func TestSystem(t *testing.T) {
	s := start(t)
	t.Run("Answers", s.testAnswers)
	t.Run("LargeBody", s.testLargeBody)
	t.Run("ClientLeaves", s.testClientLeaves)
	t.Run("WorkerKilled", s.testWorkerKilled)
}

// outcome counts how requests ended.
type outcome struct {
	whole, broken atomic.Int64
}

// sendAll sends requests side by side and reports each wrong answer. It returns once
// all are over; begun is closed when all were sent.
func (s *system) sendAll(t *testing.T, chats []chat, sideBySide int) *outcome {
	t.Helper()
	o := &outcome{}
	slots := make(chan struct{}, sideBySide)
	var all sync.WaitGroup
	for i := range chats {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			switch err := s.send(ctx, &chats[i]); {
			case err == nil:
				o.whole.Add(1)
			case errors.Is(err, errBroken):
				o.broken.Add(1)
			default:
				t.Errorf("request %d (stream %v): %v", i, chats[i].stream, err)
			}
		})
	}
	all.Wait()
	return o
}

// testAnswers sends a mix over both frontends and checks every answer.
func (s *system) testAnswers(t *testing.T) {
	chats := make([]chat, 400)
	for i := range chats {
		chats[i] = s.newChat(i, 20, i%5)
	}
	if o := s.sendAll(t, chats, 64); o.whole.Load() != int64(len(chats)) {
		t.Errorf("%d of %d answers are whole, %d streams broke though nothing did", o.whole.Load(), len(chats), o.broken.Load())
	}
	s.awaitIdle(t)
}

// testLargeBody sends more than fits a NATS message.
func (s *system) testLargeBody(t *testing.T) {
	for _, stream := range []bool{false, true} {
		c := chat{frontend: s.frontends[0], stream: stream, words: strings.Repeat("0123456789abcdef", 6<<20/16)}
		if err := s.send(t.Context(), &c); err != nil {
			text := err.Error()
			t.Errorf("6 MiB, stream %v: %s", stream, text[:min(len(text), 300)])
		}
	}
	s.awaitIdle(t)
}

// testClientLeaves holds that a client that goes takes its call with it.
func (s *system) testClientLeaves(t *testing.T) {
	for _, stream := range []bool{true, false} {
		ctx, leave := context.WithCancel(t.Context())
		c := s.newChat(1, 1000, 1000)
		c.stream = stream
		var gone sync.WaitGroup
		gone.Go(func() { _ = s.send(ctx, &c) }) // it fails: we leave
		s.awaitOpen(t, 10*time.Second, func(open int) bool { return open == 1 })
		leave()
		gone.Wait()
		s.awaitOpen(t, 5*time.Second, func(open int) bool { return open == 0 })
	}
	s.awaitIdle(t)
}

// testWorkerKilled kills one of three workers while all are busy: every JSON answer
// arrives, every stream is whole or ends with one error event, and nothing stays behind.
func (s *system) testWorkerKilled(t *testing.T) {
	const busy = 120
	chats := make([]chat, 3*busy)
	for i := range chats {
		chats[i] = s.newChat(i, 30, 60) // some two seconds each
	}
	var sent sync.WaitGroup
	var o *outcome
	sent.Go(func() { o = s.sendAll(t, chats, busy) })
	s.awaitOpen(t, 30*time.Second, func(open int) bool { return open >= busy*3/4 })
	if err := s.kill(t.Context(), s.workers[0]); err != nil {
		t.Fatalf("kill a worker: %v", err)
	}
	sent.Wait()
	t.Logf("%d answers are whole, %d streams ended with an error event", o.whole.Load(), o.broken.Load())
	if o.whole.Load() < int64(len(chats)/2) {
		t.Errorf("only %d of %d answers are whole", o.whole.Load(), len(chats))
	}
	s.awaitIdle(t)
}
