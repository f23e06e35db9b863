package batch

import (
	"testing"
	"testing/synctest"
	"time"
)

// A provider that is away is asked by few lines and seldom, and at full speed as
// soon as it answers.
func TestThrottle(t *testing.T) {
	now := time.Unix(1000, 0)
	var th throttle
	for range cautious - 1 {
		th.failure(now, now, time.Minute)
	}
	if th.room(100, now) != 100 {
		t.Error("single failures count as an outage")
	}
	calls, began := 0, now
	for now.Sub(began) < 10*time.Minute {
		out := th.room(200, now)
		for range out {
			th.failure(now, now.Add(time.Millisecond), 0)
			calls++
		}
		now = now.Add(50 * time.Millisecond)
	}
	if calls > 1500 || calls < 100 {
		t.Errorf("%d calls in ten minutes of outage", calls)
	}
	th.success()
	if th.room(200, now) != 200 {
		t.Error("it goes on slowly after a success")
	}
	for range 2 * cautious {
		th.failure(now, now, 20*time.Second)
	}
	if th.room(200, now.Add(19*time.Second)) != 0 || th.room(200, now.Add(21*time.Second)) != 100 {
		t.Error("Retry-After is not heeded")
	}
}

// Requests that each fail twice before they succeed do not take for ever.
func TestThrottleOfRequestsThatFailTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lines = 1000
		p, th, began := newProgress(lines), throttle{}, time.Now()
		for !p.over() {
			for out := th.room(200, time.Now()); out > 0; out-- {
				i, try, ok := p.next(time.Now(), th.failing(), nil)
				if !ok {
					break
				}
				if try < 2 {
					th.failure(time.Now(), time.Now(), 0)
					p.tryAgain(i, try+1, time.Now().Add(retryDelay(try+1, 0)))
					continue
				}
				th.success()
				p.finish(i, true)
			}
			sleep(t.Context(), 10*time.Millisecond) // of the bubble's clock
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%d lines took %s", lines, took)
		}
	})
}

func TestRetryDelay(t *testing.T) {
	for n, most := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1000: time.Minute} {
		for range 100 {
			if d := retryDelay(n, 0); d < most/2 || d > most {
				t.Fatalf("retry %d after %s", n, d)
			}
		}
	}
	if d := retryDelay(1, 20*time.Second); d != 20*time.Second {
		t.Errorf("Retry-After of 20 s: %s", d)
	}
}
