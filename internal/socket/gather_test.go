package socket_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/osiris/osiris/internal/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gathered are n connections of one Gatherer, with their other ends. They are closed
// when the test ends.
func gathered(tb testing.TB, n int) (here []net.Conn, there []*net.TCPConn) {
	tb.Helper()
	g := &socket.Gatherer{Prompt: true}
	tb.Cleanup(g.Close) // runs last
	for range n {
		a, b := pair(tb)
		c := g.Conn(a)
		tb.Cleanup(func() { c.Close() })
		here, there = append(here, c), append(there, b)
	}
	return here, there
}

// TestGatheredStreams has many streams whose pieces come close together, so that they
// are looked for by the clock, and few again in the end. Each writer waits until its
// piece was read: whoever was not woken would stop its stream for ever.
func TestGatheredStreams(t *testing.T) {
	const streams, pieces = 40, 200
	here, there := gathered(t, streams)
	var wg sync.WaitGroup
	for i := range streams {
		taken := make(chan struct{})
		wg.Go(func() {
			defer there[i].Close()
			for n := range pieces * (i + 1) / streams {
				if _, err := fmt.Fprintf(there[i], "%d of %d;", n, i); err != nil {
					t.Error(err)
					return
				}
				<-taken
			}
		})
		wg.Go(func() {
			defer close(taken)
			buf := make([]byte, 64)
			for n := range pieces * (i + 1) / streams {
				got, err := here[i].Read(buf)
				if want := fmt.Sprintf("%d of %d;", n, i); err != nil || string(buf[:got]) != want {
					t.Errorf("stream %d read %q, %v; want %q", i, buf[:got], err, want)
					return
				}
				taken <- struct{}{}
			}
			for range 2 {
				if got, err := here[i].Read(buf); err != io.EOF {
					t.Errorf("stream %d: %d, %v behind its end", i, got, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestGatheredEndBehindPiece: an end that arrives with a piece is found although the
// piece was all there was to read.
func TestGatheredEndBehindPiece(t *testing.T) {
	here, there := gathered(t, 1)
	begun := make(chan struct{})
	go func() {
		<-begun
		_, _ = there[0].Write([]byte("last"))
		there[0].Close()
	}()
	close(begun)
	got, err := io.ReadAll(here[0])
	if err != nil || string(got) != "last" {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestGatheredTransfer sends more than the kernel buffers both ways at once.
func TestGatheredTransfer(t *testing.T) {
	here, there := gathered(t, 1)
	want := make([]byte, 8<<20)
	for i := range want {
		want[i] = byte(i * 7 / 5)
	}
	var wg sync.WaitGroup
	for _, ends := range [][2]net.Conn{{here[0], there[0]}, {there[0], here[0]}} {
		wg.Go(func() {
			if n, err := ends[0].Write(want); n != len(want) || err != nil {
				t.Errorf("write: %d, %v", n, err)
			}
		})
		wg.Go(func() {
			got := make([]byte, len(want))
			if _, err := io.ReadFull(ends[1], got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read: %v, same %v", err, bytes.Equal(got, want))
			}
		})
	}
	wg.Wait()
}

// TestGatheredCloseEndsWaiting closes connections under readers and a writer that wait.
func TestGatheredCloseEndsWaiting(t *testing.T) {
	here, _ := gathered(t, 20)
	var wg sync.WaitGroup
	for _, c := range here {
		wg.Go(func() {
			if n, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("read: %d, %v, want net.ErrClosed", n, err)
			}
		})
	}
	wg.Go(func() {
		for {
			if _, err := here[0].Write(make([]byte, 1<<20)); err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("write: %v, want net.ErrClosed", err)
				}
				return
			}
		}
	})
	for _, c := range here {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

// TestGathererClosedFirst: what is made afterwards works without it.
func TestGathererClosedFirst(t *testing.T) {
	var g socket.Gatherer
	a, b := pair(t)
	before := g.Conn(a)
	g.Close()
	c, d := pair(t)
	after := g.Conn(c)
	for conn, other := range map[net.Conn]net.Conn{before: b, after: d} {
		_, _ = other.Write([]byte("x"))
		if n, err := conn.Read(make([]byte, 8)); n != 1 || err != nil {
			t.Errorf("read: %d, %v", n, err)
		}
		conn.Close()
	}
}

// TestGatheredExchanges has many connections on which requests and streamed answers take
// turns, so that they move between those that are told at once and those that are
// gathered. Each side waits for the other: whoever was not woken would stop it for ever.
func TestGatheredExchanges(t *testing.T) {
	const conns, exchanges, pieces = 30, 20, 10
	here, there := gathered(t, conns)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() { // the server answers each request with the first piece; the others come by themselves
			defer there[i].Close()
			buf := make([]byte, 1)
			for {
				if _, err := there[i].Read(buf); err != nil {
					return
				}
				if _, err := there[i].Write(buf); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			defer here[i].Close()
			buf := make([]byte, 8)
			for n := range exchanges * pieces {
				if n%pieces == 1 { // the first piece was read
					if s, ok := here[i].(interface{ Streams() }); ok {
						s.Streams()
					}
				}
				if n%pieces > 0 {
					go func() { _, _ = there[i].Write([]byte{byte(n)}) }()
				} else if _, err := here[i].Write([]byte{byte(n)}); err != nil {
					t.Error(err)
					return
				}
				if got, err := here[i].Read(buf); got != 1 || err != nil || buf[0] != byte(n) {
					t.Errorf("connection %d read %v, %v; want %d", i, buf[:got], err, byte(n))
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestGatheredWriterMoves: a writer that waits for room is woken although its connection
// became one of a stream meanwhile.
func TestGatheredWriterMoves(t *testing.T) {
	here, there := gathered(t, 1)
	want := make([]byte, 16<<20)
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := here[0].Write(want); n != len(want) || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
	})
	wg.Go(func() {
		buf := make([]byte, 8)
		for {
			if _, err := here[0].Read(buf); err != nil {
				return
			}
			if s, ok := here[0].(interface{ Streams() }); ok {
				s.Streams()
			}
		}
	})
	const step = 64 << 10 // so slowly that the writer waits most of the time
	for range len(want) / step {
		if _, err := there[0].Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, there[0], step); err != nil {
			t.Fatalf("%d bytes arrived, %v", n, err)
		}
	}
	there[0].Close()
	wg.Wait()
}
