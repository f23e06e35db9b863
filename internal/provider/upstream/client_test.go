package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/osiris/osiris/internal/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a transport whose body is written by a function, in the bubble of a test.
type script struct {
	connect time.Duration // before the headers
	write   func(w io.Writer, pause func(time.Duration))
	writers sync.WaitGroup
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(s.connect):
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	pr, pw := io.Pipe()
	stop := context.AfterFunc(r.Context(), func() { pr.CloseWithError(context.Cause(r.Context())) })
	s.writers.Go(func() {
		defer stop()
		s.write(pw, func(d time.Duration) {
			select {
			case <-time.After(d):
			case <-r.Context().Done():
			}
		})
		pw.CloseWithError(context.Cause(r.Context())) // nil is a polite end
	})
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: pr, Request: r}, nil
}

// read reads lines as payload, except those that begin with a colon.
func read(c *Call, each func()) error {
	buf := make([]byte, 1024)
	for {
		n, err := c.Read(buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if buf[0] != ':' && n > 0 {
			c.Payload()
			each()
		}
	}
}

func call(ctx context.Context, t *testing.T, s *script, l provider.Limits, each func()) (time.Duration, error) {
	t.Helper()
	client := New(Config{Transport: s})
	defer client.Close()
	begin := time.Now()
	c, err := client.Do(ctx, &Request{URL: "http://model.test", Body: []byte("{}"), Limits: l})
	if err == nil {
		err = read(c, each)
		c.Close()
	}
	took := time.Since(begin)
	client.Settle()
	s.writers.Wait()
	return took, err
}

func wantPhase(t *testing.T, err error, phase Phase) {
	t.Helper()
	if e, ok := errors.AsType[*TimeoutError](err); !ok || e.Phase != phase {
		t.Errorf("got %v, want the limit of %q", err, phase)
	}
}

func TestIdleIsResetByPayloadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{write: func(w io.Writer, pause func(time.Duration)) {
			_, _ = io.WriteString(w, "one")
			for range 100 {
				pause(time.Second)
				if _, err := io.WriteString(w, ": ping"); err != nil {
					return
				}
			}
		}}
		took, err := call(t.Context(), t, s, provider.Limits{FirstToken: time.Minute, Idle: 10 * time.Second}, func() {})
		wantPhase(t, err, PhaseIdle)
		if took != 10*time.Second {
			t.Errorf("ended after %s", took)
		}
	})
}

func TestPayloadKeepsACallGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{write: func(w io.Writer, pause func(time.Duration)) {
			for range 50 {
				pause(9 * time.Second)
				_, _ = io.WriteString(w, "more")
			}
		}}
		seen := 0
		took, err := call(t.Context(), t, s, provider.Limits{FirstToken: 10 * time.Second, Idle: 10 * time.Second}, func() { seen++ })
		if err != nil || seen != 50 || took != 450*time.Second {
			t.Errorf("%v after %s and %d payloads", err, took, seen)
		}
	})
}

// The server is not silent while its reader is busy.
func TestSlowReaderIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{write: func(w io.Writer, pause func(time.Duration)) {
			for range 3 {
				_, _ = io.WriteString(w, "more")
				pause(2 * time.Second)
			}
		}}
		_, err := call(t.Context(), t, s, provider.Limits{Idle: 5 * time.Second}, func() { <-time.After(time.Minute) })
		if err != nil {
			t.Errorf("got %v", err)
		}
		took, err := call(t.Context(), t, s, provider.Limits{Idle: 5 * time.Second, Total: 90 * time.Second}, func() { <-time.After(time.Minute) })
		wantPhase(t, err, PhaseTotal)
		if took != 2*time.Minute {
			t.Errorf("total limit seen after %s, want when the reader came back", took)
		}
	})
}

func TestShorterPhaseAfterLongerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{write: func(w io.Writer, pause func(time.Duration)) {
			_, _ = io.WriteString(w, "one")
			pause(time.Hour)
		}}
		took, err := call(t.Context(), t, s, provider.Limits{Connect: time.Hour, FirstToken: time.Minute, Idle: time.Second, Total: 2 * time.Hour}, func() {})
		wantPhase(t, err, PhaseIdle)
		if took != time.Second {
			t.Errorf("ended after %s", took)
		}
	})
}

func TestConnectLimitHoldsUntilTheRequestIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{connect: time.Hour, write: func(io.Writer, func(time.Duration)) {}}
		took, err := call(t.Context(), t, s, provider.Limits{Connect: 3 * time.Second, FirstToken: time.Minute}, func() {})
		wantPhase(t, err, PhaseConnect)
		if took != 3*time.Second {
			t.Errorf("ended after %s", took)
		}
	})
}

func TestCallersCauseWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("client left")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Second, func() { cancel(why) })
		s := &script{write: func(w io.Writer, pause func(time.Duration)) { pause(10 * time.Second) }}
		took, err := call(ctx, t, s, provider.Limits{FirstToken: time.Minute}, func() {})
		if err != why || took != 3*time.Second {
			t.Errorf("got %v after %s", err, took)
		}
	})
}

// A caller cancels its context as soon as it has its answer; the connection must
// survive that while its rest is read.
func TestRestIsReadAfterTheCallersContextEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		s := &script{write: func(w io.Writer, pause func(time.Duration)) {
			_, _ = io.WriteString(w, "all")
			pause(100 * time.Millisecond)
			_, err := io.WriteString(w, "rest")
			ended <- err
		}}
		client := New(Config{Transport: s})
		ctx, cancel := context.WithCancel(t.Context())
		c, err := client.Do(ctx, &Request{URL: "http://model.test", Body: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Read(make([]byte, 3))
		c.Payload()
		c.Close()
		cancel()
		client.Close()
		if err := <-ended; err != nil {
			t.Errorf("the rest was not read: %v", err)
		}
	})
}

func TestRestThatDoesNotComeIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{write: func(w io.Writer, pause func(time.Duration)) {
			_, _ = io.WriteString(w, "all")
			pause(time.Hour)
		}}
		begin := time.Now()
		_, err := call(t.Context(), t, s, provider.Limits{Idle: time.Minute}, func() {})
		wantPhase(t, err, PhaseIdle)
		client := New(Config{Transport: s})
		c, err := client.Do(t.Context(), &Request{URL: "http://model.test", Body: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Read(make([]byte, 3))
		c.Payload()
		c.Close()
		client.Close()
		if took := time.Since(begin); took != time.Minute+drainTime {
			t.Errorf("given up after %s", took-time.Minute)
		}
	})
}

func TestMaxAnswer(t *testing.T) {
	s := &script{write: func(w io.Writer, pause func(time.Duration)) { _, _ = io.WriteString(w, strings.Repeat("x", 10_000)) }}
	client := New(Config{Transport: s, MaxAnswer: 1000})
	defer client.Close()
	c, err := client.Do(t.Context(), &Request{URL: "http://model.test", Body: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	body, err := c.ReadAll(nil)
	if e, ok := errors.AsType[*provider.Error](err); !ok || e.Retry || len(body) > 1000 {
		t.Errorf("read %d bytes, then %v", len(body), err)
	}
}

func TestUnknownEncodingIsAnError(t *testing.T) {
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Encoding": {"br"}}, Body: io.NopCloser(strings.NewReader("?")), Request: r}, nil
	})
	client := New(Config{Transport: transport})
	defer client.Close()
	c, err := client.Do(t.Context(), &Request{URL: "http://model.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	if _, err := c.ReadAll(nil); err == nil || !strings.Contains(err.Error(), `"br"`) {
		t.Errorf("got %v", err)
	}
}

func TestIDIsSent(t *testing.T) {
	shared := http.Header{"X-Client-Request-Id": {"theirs"}}
	var got []string
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		got = r.Header["X-Client-Request-Id"]
		return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
	})
	client := New(Config{Transport: transport})
	defer client.Close()
	for id, want := range map[string]string{"ours": "ours", "": "theirs"} {
		c, err := client.Do(t.Context(), &Request{URL: "http://model.test", Header: shared, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		c.Abort()
		if len(got) != 1 || got[0] != want {
			t.Errorf("id %q: sent %q", id, got)
		}
	}
	if shared.Get("X-Client-Request-Id") != "theirs" {
		t.Error("the header of all calls was changed")
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
