package jobs

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

func TestDecide(t *testing.T) {
	upstream := protocol.ErrUpstream("the model is away")
	for _, c := range []struct {
		name            string
		err, cause      error
		stream, emitted bool
		status          Status
		kind            EventKind
		ack             string
	}{
		{"complete", nil, nil, true, true, StatusFinished, Done, "+ACK"},
		{"complete although cancelled meanwhile", nil, ErrCancelled, true, true, StatusFinished, Done, "+ACK"},
		{"failed", upstream, nil, false, false, StatusFailed, Failed, "+ACK"},
		{"failed with an unknown error", errors.New("x"), nil, true, true, StatusFailed, Failed, "+ACK"},
		{"client left", ErrCancelled, ErrCancelled, true, true, StatusCancelled, 0, "+ACK"},
		{"frontend died", ErrFrontendGone, ErrFrontendGone, false, false, StatusCancelled, 0, "+ACK"},
		{"newer attempt", ErrSuperseded, ErrSuperseded, false, true, StatusCancelled, 0, ""},
		{"stopping before text", ErrShutdown, ErrShutdown, true, false, StatusHandedBack, 0, "-NAK"},
		{"stopping, text that nobody saw", ErrShutdown, ErrShutdown, false, true, StatusHandedBack, 0, "-NAK"},
		{"stopping after text", ErrShutdown, ErrShutdown, true, true, StatusFailed, Failed, "+ACK"},
		{"handed back", fmt.Errorf("no target: %w", ErrHandBack), nil, true, false, StatusHandedBack, 0, string(nakIn(handBackDelay))},
		{"handed back too late", ErrHandBack, nil, true, true, StatusFailed, Failed, "+ACK"},
		{"deadline while running", errors.New("x"), ErrExpired, true, true, StatusFailed, Failed, "+ACK"},
		{"deadline before the start", ErrExpired, nil, false, false, StatusFailed, Failed, "+ACK"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := decide(c.err, c.cause, c.stream, c.emitted)
			if e.status != c.status || e.kind != c.kind || string(e.ack) != c.ack {
				t.Fatalf("got %s, event %d, ack %q", e.status, e.kind, e.ack)
			}
			if (e.kind == Failed) != (e.err != nil) {
				t.Fatalf("event %d with error %v", e.kind, e.err)
			}
		})
	}
}

func TestDecideKept(t *testing.T) {
	busy, bad := protocol.ErrOverloaded(7*time.Second), protocol.ErrInvalid("n", "", "no")
	stream, background := &Job{Stream: true, Keep: &Keep{}}, &Job{Class: Background, Keep: &Keep{Background: true}}
	line := &Job{Class: Batch, Keep: &Keep{Batch: "b", Line: 1}}
	for _, c := range []struct {
		name       string
		err, cause error
		job        *Job
		emitted    bool
		status     Status
		kind       EventKind
		ack        string
		result     ResultStatus
	}{
		{"complete", nil, nil, stream, true, StatusFinished, Done, "+ACK", Completed},
		{"complete although revoked meanwhile", nil, ErrCancelled, stream, true, StatusFinished, Done, "+ACK", Completed},
		{"failed", bad, nil, stream, false, StatusFailed, Failed, "+ACK", Errored},
		{"provider busy", busy, nil, stream, false, StatusFailed, Failed, "+ACK", Errored},
		{"revoked", ErrCancelled, ErrCancelled, stream, true, StatusCancelled, Failed, "+ACK", 0},
		{"newer attempt", ErrSuperseded, ErrSuperseded, stream, true, StatusCancelled, 0, "", 0},
		{"stopping before text", ErrShutdown, ErrShutdown, stream, false, StatusHandedBack, 0, "-NAK", 0},
		{"stopping after text", ErrShutdown, ErrShutdown, stream, true, StatusHandedBack, Failed, "-NAK", 0},
		{"handed back", ErrHandBack, nil, stream, false, StatusHandedBack, 0, string(nakIn(handBackDelay)), 0},
		{"past its deadline", ErrExpired, nil, stream, false, StatusFailed, Failed, "+ACK", Errored},
		{"background: provider busy", busy, nil, background, false, StatusFailed, 0, string(nakIn(7 * time.Second)), 0},
		{"background: refused", bad, nil, background, false, StatusFailed, Failed, "+ACK", Errored},
		{"background: past its deadline", busy, ErrExpired, background, false, StatusFailed, Failed, "+ACK", Errored},
		{"line: complete", nil, nil, line, true, StatusFinished, Done, "+ACK", Completed},
		{"line: provider busy", busy, nil, line, false, StatusFailed, Failed, "+ACK", 0},
		{"line: refused", bad, nil, line, false, StatusFailed, Failed, "+ACK", Errored},
		{"line: past its deadline", ErrExpired, ErrExpired, line, false, StatusFailed, Failed, "+ACK", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := decideKept(c.err, c.cause, c.job, c.emitted, 1, time.Hour)
			if e.status != c.status || e.kind != c.kind || string(e.ack) != c.ack || e.result != c.result {
				t.Fatalf("got %s, event %d, ack %q, result %d", e.status, e.kind, e.ack, e.result)
			}
			if e.kind == Failed && e.err == nil {
				t.Fatal("failed without an error")
			}
		})
	}
}

func TestRetryDelay(t *testing.T) {
	for _, c := range []struct {
		after   time.Duration
		attempt uint32
		want    time.Duration
	}{
		{0, 1, 2 * time.Second}, {0, 3, 8 * time.Second}, {0, 40, 5 * time.Minute},
		{time.Minute, 1, time.Minute}, {time.Hour, 2, time.Hour},
	} {
		if got := retryDelay(&protocol.Error{RetryAfter: c.after}, c.attempt); got != c.want {
			t.Errorf("attempt %d after %s: got %s, want %s", c.attempt, c.after, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		silence time.Duration
		gone    bool
		want    health
	}{
		{0, false, healthy}, {time.Second, false, healthy}, {1200 * time.Millisecond, false, suspect},
		{2500 * time.Millisecond, false, dead}, {10 * time.Second, false, hopeless}, {time.Second, true, dead}, {2 * time.Second, true, hopeless},
	} {
		if got := judge(c.silence, c.gone); got != c.want {
			t.Errorf("silent for %s, gone %t: %d, want %d", c.silence, c.gone, got, c.want)
		}
	}
}

func TestQueueDepth(t *testing.T) {
	var d queueDepth
	at := time.Unix(1000, 0)
	if d.full(1) {
		t.Fatal("an unknown queue is full")
	}
	d.update(0, 100, at)
	d.since = 50
	if d.full(10) {
		t.Fatal("a queue whose jobs are all taken is full")
	}
	d.update(9, 100, at.Add(time.Second))
	if d.full(10) || d.since != 0 {
		t.Fatalf("%+v is full", d)
	}
	d.since++
	if !d.full(10) {
		t.Fatalf("%+v is not full", d)
	}
	if got := d.retryAfter(); got != retryDefault {
		t.Fatalf("retry after %s without a rate", got)
	}
	d.update(1000, 300, at.Add(2*time.Second)) // 200 a second, averaged with 0
	if d.rate != 100 {
		t.Fatalf("rate %f", d.rate)
	}
	if got := d.retryAfter(); got != time.Second {
		t.Fatalf("retry after %s", got)
	}
	d.update(100_000_000, 500, at.Add(3*time.Second))
	if got := d.retryAfter(); got != retryLongest {
		t.Fatalf("retry after %s", got)
	}
}
