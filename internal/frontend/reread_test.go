package frontend

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// whole are the events of a job that had its result when its worker got it.
type whole struct {
	chunks
	body []byte
}

func (w *whole) Next(time.Duration) (jobs.Event, error) {
	return jobs.Event{Kind: jobs.Answer, Data: w.body}, nil
}

// An answer that comes whole to whoever submitted a stream has the events that are
// stored: read again after any of them, nothing is missing or comes twice.
func TestWholeAnswerHasStoredEvents(t *testing.T) {
	r := start(t, anyone(), teller)
	resp, live := r.post(with(`"store":true,"stream":true`))
	id, ok := parseCompletionID(resp.Header.Get("X-Request-Id"))
	if !ok {
		t.Fatal(resp.Header)
	}
	events := &rereading{first: &whole{body: []byte(`{}`)}, follow: func() (events, error) {
		return r.client.Follow(t.Context(), anonymous, id, 0)
	}}
	defer events.Close()
	var got strings.Builder
	for {
		ev, err := events.Next(5 * time.Second)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || ev.Kind == jobs.Answer {
			t.Fatal(ev.Kind, err)
		}
		if ev.Kind == jobs.Chunk {
			got.Write(ev.Data)
		}
	}
	if got.String()+protocol.Done != string(live) {
		t.Errorf("%q\nlive: %q", got.String(), live)
	}
	closed := &rereading{first: &whole{}, follow: events.follow}
	closed.Close()
	if _, err := closed.Next(time.Second); !errors.Is(err, jobs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A stream that is only read was answered, whatever it says of the job.
func TestLogOfAFailureReadAgain(t *testing.T) {
	r := start(t, anyone(), nil)
	c := &call{srv: r.Server, status: http.StatusOK, reading: &reading{retrieved: true}, stream: &chunks{}}
	(&body{call: c}).fail(protocol.ErrWorkerLost())
	if c.status != http.StatusOK || c.err != nil {
		t.Errorf("logged as %d, %v", c.status, c.err)
	}
	c.reading.retrieved = false
	if (&body{call: c}).fail(protocol.ErrWorkerLost()); c.status != protocol.ErrWorkerLost().Status {
		t.Errorf("logged as %d", c.status)
	}
}
