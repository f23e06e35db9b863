package socket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/socket"
)

// pair is two ends of a TCP connection over loopback.
func pair(tb testing.TB) (here, there *net.TCPConn) {
	tb.Helper()
	a, b := ends(tb, "tcp", "127.0.0.1:0")
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// duplex is a connection whose sending side can be closed alone.
type duplex interface {
	net.Conn
	CloseWrite() error
}

// eachKind runs f with both ends of a TCP and of a Unix connection.
func eachKind(t *testing.T, f func(t *testing.T, here, there duplex)) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")} {
		t.Run(network, func(t *testing.T) {
			here, there := ends(t, network, address)
			f(t, here, there)
		})
	}
}

func ends(tb testing.TB, network, address string) (here, there duplex) {
	tb.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { a.Close() })
	b, err := ln.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.Close() })
	return a.(duplex), b.(duplex)
}

var errNone = errors.New("no error")

// outcome is what can be told of a call.
type outcome struct {
	n                                 int
	text                              string
	eof, closed, late, reset, timeout bool
}

func told(c net.Conn, n int, err error) outcome {
	if err == nil {
		err = errNone
	}
	named, isNet := errors.AsType[net.Error](err)
	text := strings.NewReplacer(c.LocalAddr().String(), "HERE", c.RemoteAddr().String(), "THERE").Replace(err.Error())
	return outcome{
		n: n, text: text, eof: errors.Is(err, io.EOF), closed: errors.Is(err, net.ErrClosed),
		late: errors.Is(err, os.ErrDeadlineExceeded), reset: errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE),
		timeout: isNet && named.Timeout(),
	}
}

// TestAsNet does to a quick connection what it does to one of package net, and
// compares what either says.
func TestAsNet(t *testing.T) {
	buf := make([]byte, 8)
	read := func(c net.Conn, _ *net.TCPConn) (int, error) { return c.Read(buf) }
	tests := map[string]struct {
		prepare func(c net.Conn, there *net.TCPConn)
		do      func(c net.Conn, there *net.TCPConn) (int, error)
	}{
		"read":                    {func(_ net.Conn, there *net.TCPConn) { _, _ = there.Write([]byte("hello")) }, read},
		"read of nothing":         {func(net.Conn, *net.TCPConn) {}, func(c net.Conn, _ *net.TCPConn) (int, error) { return c.Read(nil) }},
		"read at the end":         {func(_ net.Conn, there *net.TCPConn) { there.Close() }, read},
		"read after close":        {func(c net.Conn, _ *net.TCPConn) { c.Close() }, read},
		"read after the deadline": {func(c net.Conn, _ *net.TCPConn) { _ = c.SetReadDeadline(time.Unix(1, 0)) }, read},
		"read until the deadline": {func(c net.Conn, _ *net.TCPConn) { _ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond)) }, read},
		"read after a reset":      {func(_ net.Conn, there *net.TCPConn) { _ = there.SetLinger(0); there.Close() }, read},
		"write":                   {func(net.Conn, *net.TCPConn) {}, func(c net.Conn, _ *net.TCPConn) (int, error) { return c.Write([]byte("hello")) }},
		"write of nothing":        {func(net.Conn, *net.TCPConn) {}, func(c net.Conn, _ *net.TCPConn) (int, error) { return c.Write(nil) }},
		"write after close":       {func(c net.Conn, _ *net.TCPConn) { c.Close() }, func(c net.Conn, _ *net.TCPConn) (int, error) { return c.Write(buf) }},
		"write after a reset": {
			func(c net.Conn, there *net.TCPConn) {
				_ = there.SetLinger(0)
				there.Close()
				_, _ = c.Read(buf)
			},
			func(c net.Conn, _ *net.TCPConn) (int, error) { return c.Write(buf) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var g socket.Gatherer
			defer g.Close()
			var got [3]outcome
			for i, wrap := range []func(net.Conn) net.Conn{func(c net.Conn) net.Conn { return c }, socket.Quick, g.Conn} {
				if i == 2 && strings.Contains(name, "deadline") {
					got[2] = got[0] // it has none
					continue
				}
				here, there := pair(t)
				c := wrap(here)
				test.prepare(c, there)
				n, err := test.do(c, there)
				got[i] = told(here, n, err)
				c.Close()
			}
			if got[0] != got[1] || got[0] != got[2] {
				t.Errorf("net says %+v\nquick says %+v\ngathered says %+v", got[0], got[1], got[2])
			}
		})
	}
}

// TestCloseEndsRead closes a connection under a reader that waits.
func TestCloseEndsRead(t *testing.T) { eachKind(t, closeEndsRead) }

func closeEndsRead(t *testing.T, here, there duplex) {
	c := socket.Quick(here)
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 1)
		for {
			if _, err := c.Read(buf); err != nil {
				done <- err
				return
			}
			c.Close()
		}
	}()
	_, _ = there.Write([]byte{1})
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v, want net.ErrClosed", err)
	}
}

// TestTransfer sends more than the kernel buffers, in pieces of all sizes, to a reader
// that is slower.
func TestTransfer(t *testing.T) { eachKind(t, transfer) }

func transfer(t *testing.T, here, there duplex) {
	out, in := socket.Quick(here), socket.Quick(there)
	want := make([]byte, 8<<20)
	for i := range want {
		want[i] = byte(i * 7 / 5)
	}
	sent := make(chan error, 1)
	go func() {
		defer here.CloseWrite()
		for size, left := 1, want; len(left) > 0; size = 2*size%100_003 + 1 {
			n, err := out.Write(left[:min(size, len(left))])
			if left = left[n:]; err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	got, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived otherwise than %d were sent", len(got), len(want))
	}
}

// TestWriteDeadline lets a write get stuck, and goes on with it where it stopped.
func TestWriteDeadline(t *testing.T) { eachKind(t, writeDeadline) }

func writeDeadline(t *testing.T, here, there duplex) {
	c := socket.Quick(here)
	piece := make([]byte, 10_000)
	total, stuck := 0, false
	for !stuck {
		_ = c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		n, err := c.Write(piece)
		total += n
		stuck = err != nil
		if stuck && (n == len(piece) || !errors.Is(err, os.ErrDeadlineExceeded)) {
			t.Fatalf("write: %d, %v", n, err)
		}
	}
	_ = c.SetWriteDeadline(time.Time{})
	here.CloseWrite()
	if n, err := io.Copy(io.Discard, there); err != nil || n != int64(total) {
		t.Errorf("%d bytes arrived, %v; %d were reported as written", n, err, total)
	}
}

// TestSameMethods finds in a quick connection what others ask of it: the descriptor, and
// to close one side.
func TestSameMethods(t *testing.T) {
	eachKind(t, func(t *testing.T, here, _ duplex) {
		c := socket.Quick(here)
		if _, ok := c.(syscall.Conn); !ok {
			t.Error("it hides its descriptor")
		}
		if _, ok := c.(duplex); !ok {
			t.Error("its sending side cannot be closed alone")
		}
		_, want := here.(io.ReaderFrom)
		if _, got := c.(io.ReaderFrom); got != want {
			t.Errorf("reads from others: %t, want %t", got, want)
		}
	})
}

// TestOtherKinds leaves alone what is no TCP connection.
func TestOtherKinds(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if socket.Quick(a) != a {
		t.Error("a pipe was replaced")
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{"net": func(c net.Conn) net.Conn { return c }, "quick": socket.Quick} {
		b.Run(name, func(b *testing.B) {
			here, there := pair(b)
			x, y := wrap(here), wrap(there)
			echoed := make(chan struct{})
			go func() {
				defer close(echoed)
				_, _ = io.Copy(struct{ io.Writer }{y}, struct{ io.Reader }{y})
			}()
			buf := make([]byte, 200)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Write(buf); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(x, buf); err != nil {
					b.Fatal(err)
				}
			}
			here.Close()
			<-echoed
		})
	}
}
