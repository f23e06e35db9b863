package http1

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// An exchange that is aborted returns at once, whatever it waits for.
func TestAbort(t *testing.T) {
	hold := func(says string) func(chan struct{}) func(int32, net.Conn, *bufio.Reader) {
		return func(ready chan struct{}) func(int32, net.Conn, *bufio.Reader) {
			return func(_ int32, conn net.Conn, in *bufio.Reader) {
				if _, ok := request(in); ok {
					_, _ = io.WriteString(conn, says)
					close(ready)
					_, _ = in.ReadByte() // until the client closes
				}
			}
		}
	}
	for name, c := range map[string]struct {
		serve func(ready chan struct{}) func(int32, net.Conn, *bufio.Reader)
		tls   bool
		body  int
	}{
		"before the head":   {serve: hold("")},
		"within the head":   {serve: hold("HTTP/1.1 200 OK\r\nX: ")},
		"within the body":   {serve: hold("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")},
		"within the chunks": {serve: hold("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")},
		"within the request": {body: 64 << 20, serve: func(ready chan struct{}) func(int32, net.Conn, *bufio.Reader) {
			return func(_ int32, _ net.Conn, in *bufio.Reader) {
				_, _ = in.Peek(1)
				close(ready)
				for { // slowly enough to be aborted on the way, to the end of what comes
					if _, err := in.Discard(1 << 10); err != nil {
						return
					}
				}
			}
		}},
		"handshake": {tls: true, serve: func(ready chan struct{}) func(int32, net.Conn, *bufio.Reader) {
			return func(_ int32, _ net.Conn, in *bufio.Reader) {
				_, _ = in.Peek(1)
				close(ready)
				_, _ = io.Copy(io.Discard, in)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ready := make(chan struct{})
			to := *newServer(t, c.serve(ready)).target
			to.tls = c.tls
			r := &Request{Target: &to, Method: http.MethodPost, Body: make([]byte, c.body)}
			aborts(t, newTransport(t, Config{}), r, ready)
		})
	}
}

func aborts(t *testing.T, transport *Transport, r *Request, ready <-chan struct{}) {
	t.Helper()
	var e Exchange
	ended := make(chan error)
	go func() {
		err := e.Do(t.Context(), transport, r)
		if err == nil {
			_, err = io.Copy(io.Discard, &e)
		}
		_ = e.Close()
		ended <- err
	}()
	<-ready
	begin := time.Now()
	e.Abort()
	if err := <-ended; err == nil || time.Since(begin) > time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
	if len(transport.pool.idle) > 0 {
		t.Error("the connection was kept")
	}
}

// A write that waits is ended too, and so is a dial.
func TestAbortWithoutNetwork(t *testing.T) {
	ready := make(chan struct{})
	near, far := net.Pipe()
	defer far.Close()
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"dial": func(ctx context.Context, _, _ string) (net.Conn, error) {
			ready <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"write": func(context.Context, string, string) (net.Conn, error) {
			go func() { // the other end takes one byte and no more
				_, _ = far.Read(make([]byte, 1))
				ready <- struct{}{}
			}()
			return near, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Request{Target: target(t, "http://h/"), Method: http.MethodPost, Body: []byte("x")}
			aborts(t, newTransport(t, Config{Dial: dial}), r, ready)
		})
	}
}

func TestAbortBeforehand(t *testing.T) {
	s := newServer(t, func(_ int32, conn net.Conn, in *bufio.Reader) {
		for _, ok := request(in); ok; _, ok = request(in) {
			answer(conn, "ok")
		}
	})
	transport := newTransport(t, Config{})
	for range 2 { // without and with an idle connection
		var e Exchange
		e.Abort()
		if err := e.Do(t.Context(), transport, &Request{Target: s.target, Method: http.MethodGet}); err == nil {
			t.Error("no error")
		}
		if _, got, err := post(t, transport, s.target, "x"); got != "ok" {
			t.Fatal(err)
		}
	}
}

// An exchange that is over cannot end the one that has its connection now.
func TestAbortAfterTheEnd(t *testing.T) {
	s := newServer(t, func(_ int32, conn net.Conn, in *bufio.Reader) {
		for _, ok := request(in); ok; _, ok = request(in) {
			answer(conn, "ok")
		}
	})
	transport := newTransport(t, Config{})
	var first Exchange
	for range 3 {
		var e Exchange
		if err := e.Do(t.Context(), transport, &Request{Target: s.target, Method: http.MethodGet}); err != nil {
			t.Fatal(err)
		}
		first.Abort()
		if got, err := io.ReadAll(&e); string(got) != "ok" {
			t.Errorf("%q, %v", got, err)
		}
		_ = e.Close()
		first = Exchange{}
		if err := first.Do(t.Context(), transport, &Request{Target: s.target, Method: http.MethodGet}); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(&first)
	}
	if n := s.accepts.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// idleConns puts connections into a pool and returns their other ends.
func idleConns(p *pool, n int) []net.Conn {
	var others []net.Conn
	for range n {
		near, far := net.Pipe()
		p.put(place{}, newConn(near, near))
		others = append(others, far)
	}
	return others
}

func isClosed(far net.Conn) bool {
	_ = far.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := far.Read(make([]byte, 1))
	return err == io.EOF
}

func TestIdleConnectionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{most: 2, expiry: time.Minute}
		old := idleConns(p, 3)
		if !isClosed(old[2]) || isClosed(old[0]) || isClosed(old[1]) {
			t.Error("want two kept and one too many closed")
		}
		<-time.After(40 * time.Second)
		if c := p.take(place{}); c == nil {
			t.Fatal("nothing is idle")
		} else {
			p.put(place{}, c)
		}
		<-time.After(55 * time.Second)
		synctest.Wait()
		if !isClosed(old[0]) || isClosed(old[1]) {
			t.Error("want the one that was not used closed, the other kept")
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if !isClosed(old[1]) || len(p.idle) > 0 || p.sweeps != nil {
			t.Error("something is left after an hour")
		}
		p.close()
		if late := idleConns(p, 1); !isClosed(late[0]) {
			t.Error("kept after close")
		}
	})
}
