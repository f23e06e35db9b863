package frontend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// wire keeps what is written to it, one entry per write.
type wire struct {
	net.Conn
	writes []string
}

func (w *wire) Write(p []byte) (int, error) {
	w.writes = append(w.writes, string(p))
	return len(p), nil
}

func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// told are events that are all there already.
type told struct{ events []jobs.Event }

func (s *told) Next(time.Duration) (jobs.Event, error) {
	if len(s.events) == 0 {
		return jobs.Event{}, io.EOF
	}
	e := s.events[0]
	s.events = s.events[1:]
	return e, nil
}

func (s *told) Ready() bool  { return len(s.events) > 0 }
func (s *told) Close()       {}
func (s *told) Stored() bool { return true }

// TestPieces holds that an answer leaves in as few writes as its size allows, whole
// and in order, and that its end goes with its last piece.
func TestPieces(t *testing.T) {
	r := start(t, anyone(), nil)
	tests := map[string]struct{ size, chunks int }{
		"short":          {10, 3},
		"long":           {100, 100},
		"longer":         {100, 500},
		"one long event": {100_000, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := chunk(strings.Repeat("x", test.size))
			stream := &told{}
			for range test.chunks {
				stream.events = append(stream.events, jobs.Event{Kind: jobs.Chunk, Data: []byte(text)})
			}
			stream.events = append(stream.events, jobs.Event{Kind: jobs.Done})
			w := &wire{}
			nc := &conn{Conn: w, set: r.conns, partial: true}
			b := &body{call: &call{srv: r.Server, cfg: r.cfg.Load(), conn: nc, began: time.Now(), deadline: time.Now().Add(time.Hour), stream: stream}}
			if _, err := b.WriteTo(server{nc}); err != nil {
				t.Fatal(err)
			}
			for _, end := range []string{"0\r\n", "\r\n"} {
				if _, err := io.WriteString(nc, end); err != nil {
					t.Fatal(err)
				}
			}
			got, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(strings.Join(w.writes, ""))))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Repeat(text, test.chunks) + "data: [DONE]\n\n"; string(got) != want {
				t.Errorf("%d bytes arrived otherwise than %d were said", len(got), len(want))
			}
			most := 1 + (max(len(got)-firstPiece, 0)+pieceSize-1)/pieceSize
			if len(w.writes) != most {
				t.Errorf("%d writes for %d bytes, want %d", len(w.writes), len(got), most)
			}
			if nc.finishing || nc.held != nil {
				t.Error("the next answer would be held")
			}
		})
	}
}

// server frames as the HTTP server does.
type server struct{ c *conn }

func (s server) Write(p []byte) (int, error) {
	var b bytes.Buffer
	w := httputil.NewChunkedWriter(&b)
	n, err := w.Write(p)
	if err != nil {
		return n, err
	}
	if _, err := s.c.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return n, nil
}

// A client that leaves while the end of its answer is held is noticed as any other.
func TestLastWriteFails(t *testing.T) {
	here, there := net.Pipe()
	there.Close()
	set := newConnSet(&bodies{}, func() time.Duration { return time.Second })
	c := set.add(here)
	c.finishing = true
	if _, err := io.WriteString(c, "e\r\ndata: [DONE]\n\n\r\n0\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "\r\n"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestNextAnswerOnTheConnection asks again on a connection whose last answer was a stream.
func TestNextAnswerOnTheConnection(t *testing.T) {
	r := start(t, anyone(), func(_ context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		return jobs.Outcome{FinishReason: "stop"}, a.Chunk([]byte(chunk("x") + finish))
	})
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if _, err := io.WriteString(c, rawPost(streamRequest)); err != nil {
			t.Fatal(err)
		}
		resp, body := readResponse(t, c)
		if resp.StatusCode != 200 || string(body) != chunk("x")+finish+protocol.Done {
			t.Fatalf("%d: %s", resp.StatusCode, body)
		}
	}
}
