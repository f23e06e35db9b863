package e2e

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// flood says as much as it can until its caller leaves, and counts it.
func flood(said *atomic.Int64) script {
	chunk := chunkOf(`{"content":"`+strings.Repeat("x", 8000)+`"}`, "null")
	return func(c *upstreamCall) {
		c.say(chunkOf(`{"role":"assistant","content":""}`, "null"))
		for c.Context().Err() == nil {
			c.say(chunk)
			said.Add(int64(len(chunk)))
		}
	}
}

// crowd runs streams side by side and returns how long all of them took.
func (s *system) crowd(t *testing.T) time.Duration {
	t.Helper()
	text := strings.TrimSpace(strings.Repeat("word ", 300))
	began := time.Now()
	var streams sync.WaitGroup
	for range 20 {
		streams.Go(func() {
			if err := s.send(t.Context(), chat("up/"+words, text, true), true, text); err != nil {
				t.Error(err)
			}
		})
	}
	streams.Wait()
	return time.Since(began)
}

// TestSlowReader: a client that reads one byte a second slows its own model down and
// nobody else, and what waits for it is bounded.
func TestSlowReader(t *testing.T) {
	s := start(t, options{})
	var said atomic.Int64
	s.model.on("flood", flood(&said))
	alone := s.crowd(t)
	c := s.dial(t, chat("up/flood", hello, true))
	if err := c.SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	s.model.awaitOpen(t, "flood")
	second := time.NewTicker(time.Second)
	defer second.Stop()
	c.in.Reset(c) // the buffer would read ahead
	one := make([]byte, 1)
	for range 3 {
		if _, err := c.Read(one); err != nil {
			t.Fatalf("the slow client was cut: %v", err)
		}
		if beside := s.crowd(t); beside > 4*alone+2*time.Second {
			t.Errorf("others took %v beside the slow client, %v without", beside, alone)
		}
		<-second.C
	}
	if n := said.Load(); n > 48<<20 {
		t.Errorf("%d bytes wait for the slow client", n)
	}
	c.leave(t, true)
	s.idle(t, "flood", words)
}

// TestStalledReader: a client that reads nothing is cut after a while.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	s := start(t, options{env: []string{"OSIRIS_FRONTEND_WRITE_STALL=1s"}})
	var said atomic.Int64
	s.model.on("flood", flood(&said))
	s.dial(t, chat("up/flood", hello, true))
	s.model.awaitOpen(t, "flood")
	s.model.await(t, 15*time.Second, "flood", "the call ends", func(n callCount) bool { return n.open == 0 })
	s.idle(t, "flood")
}
