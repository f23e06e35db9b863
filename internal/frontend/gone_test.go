package frontend

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

// eventually waits for cond by looking again and again: what is waited for leaves
// no other trace.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// A client that leaves is noticed wherever its request is, and its job cancelled.
func TestClientGone(t *testing.T) {
	cfg := anyone()
	cfg.HoldBack = 50 * time.Millisecond
	slow := strings.Replace(streamRequest, "Hello!", "talk", 1)
	for name, tc := range map[string]struct {
		request string
		queued  bool   // no worker
		read    string // until this was read
	}{
		"json, queued":    {request: plainRequest, queued: true},
		"stream, queued":  {request: streamRequest, queued: true},
		"json, running":   {request: plainRequest},
		"stream, running": {request: streamRequest},
		"held back":       {request: streamRequest, read: "\r\n\r\n"},
		"streaming":       {request: slow, read: chunk("Hel")},
	} {
		t.Run(name, func(t *testing.T) {
			running, ended := make(chan struct{}), make(chan error, 1)
			h := func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
				if strings.Contains(string(a.Job().Body), "talk") {
					if err := a.Chunk([]byte(chunk("Hel"))); err != nil {
						return jobs.Outcome{}, err
					}
				}
				close(running)
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return jobs.Outcome{}, context.Cause(ctx)
			}
			if tc.queued {
				h = nil
			}
			r := start(t, cfg, h)
			c := r.raw(rawPost(tc.request))
			if tc.queued {
				eventually(t, "the job is queued", func() bool { return r.client.Active() == 1 })
			} else {
				<-running
			}
			readUntil(t, c, tc.read)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if !tc.queued {
				if err := <-ended; !errors.Is(err, jobs.ErrCancelled) {
					t.Errorf("the job ended with %v", err)
				}
			}
			eventually(t, "the call ends", func() bool { return r.client.Active() == 0 && strings.Contains(r.log.String(), `"status":499`) })
		})
	}
}

// A client that closed its sending side counts as gone, and gets no answer that
// could be taken for one.
func TestHalfClosed(t *testing.T) {
	for name, request := range map[string]string{"json": plainRequest, "stream": streamRequest} {
		t.Run(name, func(t *testing.T) {
			r := start(t, anyone(), nil)
			c := r.raw(rawPost(request))
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, _ := io.ReadAll(c); len(got) > 0 { // a reset is as good as an end
				t.Errorf("answered %q", got)
			}
			eventually(t, "the call ends", func() bool { return strings.Contains(r.log.String(), `"status":499`) })
		})
	}
}

func readUntil(t *testing.T, c net.Conn, text string) {
	t.Helper()
	in := bufio.NewReader(c)
	var got strings.Builder
	for text != "" && !strings.HasSuffix(got.String(), text) {
		b, err := in.ReadByte()
		if err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
		got.WriteByte(b)
	}
}

// A request sent ahead is no sign that the client left.
func TestPipelinedRequest(t *testing.T) {
	released := make(chan struct{})
	r := start(t, anyone(), func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		select {
		case <-released:
			return speak(ctx, a)
		case <-ctx.Done():
			return jobs.Outcome{}, context.Cause(ctx)
		}
	})
	c := r.raw(rawPost(plainRequest))
	eventually(t, "the first request is there", func() bool { return r.client.Active() == 1 })
	if _, err := io.WriteString(c, rawPost(streamRequest)); err != nil {
		t.Fatal(err)
	}
	looks := time.After(5 * r.cfg.Load().Poll)
	<-looks
	close(released)
	in := bufio.NewReader(c)
	for _, want := range []string{answer, spoken} {
		resp, body := readNext(t, in)
		if resp.StatusCode != 200 || body != want {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
	}
}
