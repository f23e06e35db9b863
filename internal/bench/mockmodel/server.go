package mockmodel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/osiris/osiris/internal/bench/answer"
	"github.com/osiris/osiris/internal/socket"
)

// Config says how the model behaves.
type Config struct {
	Model  string // its name; "bench"
	Tokens int    // pieces of an answer whose prompt has no mark; 64
	Size   int    // bytes of each; answer.DefaultSize

	FirstToken time.Duration // from the request to the first token
	Gap        time.Duration // between two tokens; a whole answer takes as long as a streamed one
	Jitter     float64       // each of these times is up to this share shorter or longer, from 0 to 1

	// Shares, from 0 to 1, of the requests that fail on purpose.
	Refuse float64 // with the status Status, before anything was said
	Cut    float64 // by a connection that breaks in the middle of the answer
	Hang   float64 // by silence in the middle, until the client leaves
	Status int     // 500; 429 and 503 come with Retry-After: 1
}

func (c Config) withDefaults() (Config, error) {
	if c.Model == "" {
		c.Model = "bench"
	}
	if c.Tokens == 0 {
		c.Tokens = 64
	}
	if c.Size == 0 {
		c.Size = answer.DefaultSize
	}
	if c.Status == 0 {
		c.Status = http.StatusInternalServerError
	}
	switch {
	case !(answer.Spec{Pieces: c.Tokens, Size: c.Size}).Valid():
		return c, fmt.Errorf("an answer of %d tokens of %d bytes is too large or none", c.Tokens, c.Size)
	case c.FirstToken < 0 || c.Gap < 0:
		return c, errors.New("a time is negative")
	case c.Jitter < 0 || c.Jitter > 1:
		return c, fmt.Errorf("jitter %g is not between 0 and 1", c.Jitter)
	case c.Refuse < 0 || c.Cut < 0 || c.Hang < 0 || c.Refuse+c.Cut+c.Hang > 1:
		return c, errors.New("shares of failures are negative, or more than 1 together")
	case c.Status < 400 || c.Status > 599:
		return c, fmt.Errorf("status %d is no error", c.Status)
	}
	return c, nil
}

// Stats count requests since the start.
type Stats struct {
	Begun    int64 `json:"begun"`
	Finished int64 `json:"finished"`
	Failed   int64 `json:"failed"` // on purpose
	Left     int64 `json:"left"`   // by the client
}

// Server is a simulated model.
type Server struct {
	cfg    Config
	models []byte

	ids                           atomic.Uint64
	begun, finished, failed, left atomic.Int64

	mu     sync.Mutex // guards all below
	conns  map[net.Conn]struct{}
	closed bool
}

// New returns a server, or says what is wrong with cfg.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("simulated model: %w", err)
	}
	models := fmt.Appendf(nil, `{"object":"list","data":[{"id":%q,"object":"model","created":1700000000,"owned_by":"osiris-bench"}]}`, cfg.Model)
	return &Server{cfg: cfg, models: models, conns: map[net.Conn]struct{}{}}, nil
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	return Stats{Begun: s.begun.Load(), Finished: s.finished.Load(), Failed: s.failed.Load(), Left: s.left.Load()}
}

// Serve answers on ln until ctx ends, which closes every connection, or ln fails. Nothing
// runs on when it returns; ln is closed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	stop := context.AfterFunc(ctx, func() { s.close(ln) })
	defer stop()
	defer s.close(ln)
	for {
		c, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("simulated model: %w", err)
		}
		if !s.keep(c) {
			return nil
		}
		serving.Go(func() {
			defer s.drop(c)
			s.serve(socket.Quick(c))
		})
	}
}

func (s *Server) close(ln net.Listener) {
	_ = ln.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *Server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) drop(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// maxBody bounds a request: more is a mistake of who asks.
const maxBody = 128 << 20

// serve answers the requests of one connection.
func (s *Server) serve(c net.Conn) {
	in := bufio.NewReaderSize(c, 4<<10)
	call := &call{server: s, conn: c, in: in}
	var body bytes.Buffer
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if req.Header.Get("Expect") == "100-continue" {
			if _, err := c.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
				return
			}
		}
		body.Reset()
		if _, err := body.ReadFrom(http.MaxBytesReader(nil, req.Body, maxBody)); err != nil {
			return
		}
		switch req.Method + " " + req.URL.Path {
		case "POST /v1/chat/completions":
			err = call.completion(body.Bytes())
		case "GET /v1/models":
			err = call.whole(http.StatusOK, s.models)
		case "GET /stats":
			st := s.Stats()
			err = call.whole(http.StatusOK, fmt.Appendf(nil, `{"begun":%d,"finished":%d,"failed":%d,"left":%d}`, st.Begun, st.Finished, st.Failed, st.Left))
		default:
			err = call.refuse(http.StatusNotFound, "there is nothing at this address")
		}
		if err != nil || req.Close {
			return
		}
	}
}
