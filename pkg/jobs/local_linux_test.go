package jobs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// Events between two programs on one machine arrive whole and in order, many streams of
// several workers at once, and none of them travels through the broker.
func TestLocalEventsSpareTheBroker(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Shared(t, 1), Config{Local: unchanged})
	cl := r.client()
	passed := r.brokered(cl)
	h, want := countdown(200)
	r.worker(10, h)
	r.worker(10, h)
	var wg sync.WaitGroup
	for range 40 {
		s := r.submit(cl, newJob("{}"))
		wg.Go(func() {
			if res := collect(s, patience); res.text != want || res.failed != nil || res.err != nil {
				t.Errorf("%d bytes of %d, %+v %v", len(res.text), len(want), res.failed, res.err)
			}
		})
	}
	wg.Wait()
	r.empty()
	if n := passed.Load(); n != 0 {
		t.Errorf("%d messages of events in the broker", n)
	}
}

// breaking are local connections that a test can cut, or have nobody read.
type breaking struct {
	mu    sync.Mutex
	all   []net.Conn
	stuck chan struct{} // not nil: readers wait until it is closed
}

type stuckConn struct {
	net.Conn
	until chan struct{}
}

func (c stuckConn) Read(p []byte) (int, error) {
	<-c.until
	return c.Conn.Read(p)
}

func (b *breaking) add(c net.Conn) net.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, c)
	if b.stuck != nil {
		return stuckConn{c, b.stuck}
	}
	return c
}

// whole reports whether both ends of a connection are there.
func (b *breaking) whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.all) == 2
}

func (b *breaking) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.all {
		_ = c.Close()
	}
	b.all = nil
}

// A connection that breaks, with events on their way, costs nothing but asking for them
// again; the next one is found while jobs run.
func TestLocalConnectionBreaks(t *testing.T) {
	t.Parallel()
	var b breaking
	r := newRig(t, natstest.Shared(t, 1), Config{Local: b.add})
	cl := r.client()
	passed := r.brokered(cl)
	said := make(chan int)
	r.worker(1, func(ctx context.Context, a *Attempt) (Outcome, error) {
		for {
			select {
			case i := <-said:
				if i < 0 {
					return Outcome{FinishReason: "stop"}, nil
				}
				if err := a.Chunk(fmt.Appendf(nil, "data: %d\n\n", i)); err != nil {
					return Outcome{}, err
				}
			case <-ctx.Done():
				return Outcome{}, context.Cause(ctx)
			}
		}
	})
	s := r.submit(cl, newJob("{}"))
	var want strings.Builder
	i := 0
	say := func() {
		said <- i
		fmt.Fprintf(&want, "data: %d\n\n", i)
		i++
	}
	say()
	within(t, patience, "a connection", b.whole)
	b.cut()
	say() // into the closed connection, and so to the broker
	within(t, patience, "a message through the broker", func() bool { return passed.Load() > 0 })
	within(t, patience, "another connection", b.whole)
	before := passed.Load()
	for range 5 {
		say()
	}
	said <- -1
	if res := collect(s, patience); res.text != want.String() || res.failed != nil || res.err != nil {
		t.Fatalf("%q, want %q: %+v %v", res.text, want.String(), res.failed, res.err)
	}
	r.empty()
	if n := passed.Load(); n != before {
		t.Errorf("%d messages through the broker beside the new connection", n-before)
	}
}

// A frontend that does not read its socket gets its events through the broker.
func TestLocalConnectionStalls(t *testing.T) {
	t.Parallel()
	b := breaking{stuck: make(chan struct{})}
	defer close(b.stuck)
	r := newRig(t, natstest.Shared(t, 1), Config{Local: b.add})
	cl := r.client()
	text := bytes.Repeat([]byte("x"), 100<<10)
	r.worker(4, func(_ context.Context, a *Attempt) (Outcome, error) {
		return Outcome{}, a.Answer(text)
	})
	var wg sync.WaitGroup
	for range 12 { // more than a socket holds
		s := r.submit(cl, newJob("{}"))
		wg.Go(func() {
			if res := collect(s, patience); res.text != string(text) || res.failed != nil || res.err != nil {
				t.Errorf("%d bytes of %d, %+v %v", len(res.text), len(text), res.failed, res.err)
			}
		})
	}
	wg.Wait()
	r.empty()
}

// Who does not know the frontend's id, does not say it, or runs as another user, is not heard.
func TestLocalStrangers(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Shared(t, 1), Config{Local: unchanged})
	cl := r.client()
	address := localAddress(r.conn.cfg.Namespace, cl.cfg.ID)
	for name, greeting := range map[string][]byte{
		"wrong id":   binary.LittleEndian.AppendUint32(nil, 0),
		"endless id": {0xff, 0xff, 0xff, 0xff},
		"silence":    nil,
		"leaves":     {},
	} {
		c, err := net.DialUnix("unix", nil, address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := errors.Join(sameUser(c, os.Geteuid()), c.SetDeadline(time.Now().Add(patience))); err != nil {
			t.Fatal(err)
		}
		if err := sameUser(c, os.Geteuid()+1); !errors.Is(err, errOtherUser) {
			t.Errorf("%v for another user", err)
		}
		_, _ = c.Write(greeting)
		if name == "leaves" {
			_ = c.CloseWrite()
		}
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: %d bytes were said", name, n)
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stays open", name)
		}
	}
}

func TestNextLocal(t *testing.T) {
	t.Parallel()
	message := func(n int) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, uint32(n)), bytes.Repeat([]byte("x"), n)...)
	}
	for name, test := range map[string]struct {
		in   []byte
		want []int
		err  error
	}{
		"nothing":      {nil, nil, io.EOF},
		"three":        {bytes.Join([][]byte{message(1), message(0), message(localLongest)}, nil), []int{1, 0, localLongest}, io.EOF},
		"half a head":  {append(message(3), 1, 0), []int{3}, io.EOF},
		"half of one":  {message(100)[:50], nil, io.EOF},
		"one too long": {message(localLongest + 1), nil, errBadFrame},
	} {
		t.Run(name, func(t *testing.T) {
			r := bufio.NewReaderSize(bytes.NewReader(test.in), localLength+localLongest)
			for _, n := range test.want {
				if m, err := nextLocal(r); err != nil || len(m) != n {
					t.Fatalf("%d bytes, %v; want %d", len(m), err, n)
				}
			}
			if m, err := nextLocal(r); !errors.Is(err, test.err) {
				t.Errorf("%d bytes, %v; want %v", len(m), err, test.err)
			}
		})
	}
}
