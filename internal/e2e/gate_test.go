package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// gate is a way to a server by which answers can be held up.
type gate struct {
	address string

	mu      sync.Mutex
	way     *sync.Cond // of mu
	closed  bool       // guarded by mu: nothing passes from the server
	over    bool       // guarded by mu
	conns   []net.Conn // guarded by mu
	copying sync.WaitGroup
}

func newGate(t *testing.T, server string) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: ln.Addr().String()}
	g.way = sync.NewCond(&g.mu)
	g.copying.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			g.join(conn, server)
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		g.end()
		g.copying.Wait()
	})
	return g
}

// join lets a client through to the server.
func (g *gate) join(conn net.Conn, server string) {
	far, err := net.Dial("tcp", server)
	if err != nil {
		_ = conn.Close()
		return
	}
	g.mu.Lock()
	g.conns = append(g.conns, conn, far)
	g.mu.Unlock()
	g.copying.Go(func() {
		_, _ = io.Copy(far, conn)
		_ = far.Close()
	})
	g.copying.Go(func() {
		_, _ = io.Copy(passing{conn, g}, far)
		_ = conn.Close()
	})
}

// passing writes while its gate is open.
type passing struct {
	io.Writer
	g *gate
}

func (p passing) Write(b []byte) (int, error) {
	p.g.mu.Lock()
	for p.g.closed && !p.g.over {
		p.g.way.Wait()
	}
	p.g.mu.Unlock()
	return p.Writer.Write(b)
}

// shut holds up what comes from the server from now on.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// open lets it pass.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
	g.way.Broadcast()
}

// end breaks every connection.
func (g *gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	g.way.Broadcast()
	for _, c := range g.conns {
		_ = c.Close()
	}
}
