package frontend

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// sockets calls f with a connection of each kind to r: TCP and TLS, each with the
// usual receive buffer and with the least.
func (r *rig) sockets(t *testing.T, f func(t *testing.T, c net.Conn)) {
	t.Helper()
	borrowed := httptest.NewUnstartedServer(nil) // for its certificate
	borrowed.StartTLS()
	defer borrowed.Close()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	secure := tls.NewListener(plain, &tls.Config{Certificates: borrowed.TLS.Certificates})
	go func() { served <- r.Listen(secure) }()
	defer func() {
		_ = r.Shutdown(t.Context())
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	for name, address := range map[string]string{"TCP": r.addr, "TLS": plain.Addr().String()} {
		for _, buffer := range []int{0, 4096} {
			t.Run(name+map[int]string{0: "", 4096: " with a small buffer"}[buffer], func(t *testing.T) {
				c, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if buffer > 0 {
					if err := c.(*net.TCPConn).SetReadBuffer(buffer); err != nil {
						t.Fatal(err)
					}
				}
				if name == "TLS" {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				}
				if _, err := io.WriteString(c, rawPost(streamRequest)); err != nil {
					t.Fatal(err)
				}
				f(t, c)
			})
		}
	}
}

// TestTricklingReader holds that a client that reads byte by byte, for longer than a
// client may take nothing, gets its whole answer.
func TestTricklingReader(t *testing.T) {
	cfg := anyone()
	cfg.WriteStall = 250 * time.Millisecond
	text := strings.Repeat(chunk(strings.Repeat("x", 300)), 100)
	r := start(t, cfg, func(_ context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		for piece := range strings.SplitAfterSeq(text, "\n\n") {
			if err := a.Chunk([]byte(piece)); err != nil {
				return jobs.Outcome{}, err
			}
		}
		return jobs.Outcome{FinishReason: "stop"}, a.Chunk([]byte(finish))
	})
	r.sockets(t, func(t *testing.T, c net.Conn) {
		var raw bytes.Buffer
		one := make([]byte, 1)
		tick := time.NewTicker(25 * time.Millisecond)
		defer tick.Stop()
		for range 4 * int(cfg.WriteStall/(25*time.Millisecond)) {
			<-tick.C
			if _, err := c.Read(one); err != nil {
				t.Fatalf("cut after %d bytes: %v", raw.Len(), err)
			}
			raw.Write(one)
		}
		resp, body := readResponse(t, &replayed{Conn: c, r: io.MultiReader(&raw, c)})
		if resp.StatusCode != 200 || string(body) != text+finish+protocol.Done {
			t.Errorf("%d, %d bytes of %d", resp.StatusCode, len(body), len(text))
		}
	})
}

// replayed is a connection some of which was read before.
type replayed struct {
	net.Conn
	r io.Reader
}

func (c *replayed) Read(p []byte) (int, error) { return c.r.Read(p) }

// TestReaderThatNeverReads holds that a client that takes nothing is reset after
// WriteStall, however it is connected.
func TestReaderThatNeverReads(t *testing.T) {
	cfg := anyone()
	cfg.WriteStall = 300 * time.Millisecond
	begun, ended := make(chan time.Time, 1), make(chan error, 1)
	piece := []byte(chunk(strings.Repeat("x", 16<<10)))
	r := start(t, cfg, func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		begun <- time.Now()
		for {
			if err := a.Chunk(piece); err != nil {
				ended <- context.Cause(ctx)
				return jobs.Outcome{}, err
			}
		}
	})
	r.sockets(t, func(t *testing.T, c net.Conn) {
		began := <-begun
		if err := <-ended; !errors.Is(err, jobs.ErrCancelled) {
			t.Errorf("the job ended with %v", err)
		}
		if took := time.Since(began); took < cfg.WriteStall || took > 20*cfg.WriteStall {
			t.Errorf("cut after %s", took)
		}
		if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the connection ended with %v, not with a reset", err)
		}
	})
}
