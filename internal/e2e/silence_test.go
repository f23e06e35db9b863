package e2e

import (
	"testing"
	"time"
)

// TestSilence: a model that thinks for long, before its first word and in between. The
// client gets keep-alives, then the answer. With -silence the settings are those that
// programs have by default.
func TestSilence(t *testing.T) {
	t.Parallel()
	pause, hold, keepAlive := 2500*time.Millisecond, 200*time.Millisecond, time.Second
	env := []string{"OSIRIS_FRONTEND_HOLD_BACK=200ms", "OSIRIS_FRONTEND_KEEP_ALIVE=1s"}
	if *silence > 0 {
		pause, hold, keepAlive, env = *silence, 5*time.Second, 15*time.Second, nil
	}
	s := start(t, options{env: env})
	s.model.on("silent", func(c *upstreamCall) {
		if !c.pause(pause) {
			return
		}
		if !c.chat.Stream {
			c.whole()
			return
		}
		c.begin()
		if c.pause(pause) {
			c.say(chunkOf(`{"content":"there, world"}`, `"stop"`), "data: [DONE]\n\n")
		}
	})
	t.Run("both", func(t *testing.T) {
		t.Run("JSON", func(t *testing.T) {
			t.Parallel()
			if err := s.send(t.Context(), chat("up/silent", hello, false), false, hello); err != nil {
				t.Error(err)
			}
		})
		t.Run("stream", func(t *testing.T) {
			t.Parallel()
			s.listenToSilence(t, hold, int((pause-hold)/keepAlive)+int(pause/keepAlive))
		})
		for library, client := range sdks(s.client) {
			t.Run(library, func(t *testing.T) {
				t.Parallel()
				got, err := client.stream(t.Context(), sdkRequest{model: "up/silent", text: hello}, nil)
				compare(t, "stream", got, err, said{Choices: []saidChoice{{Content: hello, Finish: "stop"}}})
			})
		}
	})
	s.idle(t, "silent")
}

// listenToSilence holds that the status comes once hold is over, and as many
// keep-alives as there must be.
func (s *system) listenToSilence(t *testing.T, hold time.Duration, keepAlives int) {
	t.Helper()
	began := time.Now()
	resp, err := s.post(t.Context(), chat("up/silent", hello, true))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if waited := time.Since(began); resp.StatusCode != 200 || waited < hold || waited > hold+soon {
		t.Errorf("status %d after %v, want 200 after %v", resp.StatusCode, waited, hold)
	}
	got, err := readStream(resp.Body)
	if err == nil {
		err = got.check(hello)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := got.keepAlives; n < keepAlives-1 || n > keepAlives {
		t.Errorf("%d keep-alives, want %d", n, keepAlives)
	}
}
