package mockmodel

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/osiris/osiris/internal/bench/answer"
)

var (
	errLeft = errors.New("the client left")
	errCut  = errors.New("cut on purpose")
)

// call answers one request after the other on a connection; its buffers are used again.
type call struct {
	server *Server
	conn   net.Conn
	in     *bufio.Reader

	begun time.Time
	head  []byte // what every object of an answer begins with
	event []byte
	out   []byte
}

// failure is how an answer fails on purpose.
type failure int

const (
	none failure = iota
	refuse
	cut
	hang
)

func (s *Server) fate() failure {
	if s.cfg.Refuse+s.cfg.Cut+s.cfg.Hang == 0 {
		return none
	}
	dice := rand.Float64()
	for _, f := range []struct {
		share float64
		is    failure
	}{{s.cfg.Refuse, refuse}, {s.cfg.Cut, cut}, {s.cfg.Hang, hang}} {
		if dice < f.share {
			return f.is
		}
		dice -= f.share
	}
	return none
}

// completion answers a chat completion. An error ends the connection.
func (c *call) completion(body []byte) error {
	s := c.server
	c.begun = time.Now()
	var req struct {
		Model   string `json:"model"`
		Stream  bool   `json:"stream"`
		Options struct {
			Usage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return c.refuse(http.StatusBadRequest, "the body is no JSON of a chat completion")
	}
	s.begun.Add(1)
	fate := s.fate()
	if fate == refuse {
		s.failed.Add(1)
		return c.refuse(s.cfg.Status, "the simulated model was told to fail")
	}
	spec, ok := answer.Find(body)
	if !ok {
		spec = answer.Spec{Pieces: s.cfg.Tokens, Size: s.cfg.Size}
	}
	c.head = fmt.Appendf(c.head[:0], `{"id":"chatcmpl-bench%d","created":%d,"model":%q,"system_fingerprint":"fp_bench","object":"chat.completion`,
		s.ids.Add(1), c.begun.Unix(), req.Model)
	usage := `"usage":{"prompt_tokens":` + strconv.Itoa(len(body)/4) + `,"completion_tokens":` + strconv.Itoa(spec.Pieces) +
		`,"total_tokens":` + strconv.Itoa(len(body)/4+spec.Pieces) + `}`
	var err error
	if req.Stream {
		if !req.Options.Usage {
			usage = ""
		}
		err = c.stream(spec, usage, fate)
	} else {
		err = c.json(spec, usage, fate)
	}
	switch {
	case err == nil:
		s.finished.Add(1)
	case fate == none:
		s.left.Add(1)
	default:
		s.failed.Add(1)
	}
	return err
}

// json sends a whole answer, after the time that its tokens take.
func (c *call) json(spec answer.Spec, usage string, fate failure) error {
	cfg := c.server.cfg
	if err := c.until(c.begun.Add(c.jittered(cfg.FirstToken + time.Duration(spec.Pieces-1)*cfg.Gap))); err != nil {
		return err
	}
	if fate == hang {
		return c.silence()
	}
	b := append(c.event[:0], c.head...)
	b = append(b, `","choices":[{"index":0,"message":{"role":"assistant","content":"`...)
	b = spec.AppendText(b)
	b = append(b, `","refusal":null},"logprobs":null,"finish_reason":"stop"}],`...)
	b = append(append(b, usage...), '}')
	c.event = b
	if fate == cut {
		c.out = appendHead(c.out[:0], http.StatusOK, len(b), "")
		_, _ = c.conn.Write(append(c.out, b[:len(b)/2]...))
		return errCut
	}
	return c.whole(http.StatusOK, b)
}

const (
	streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
	unfinished = `},"logprobs":null,"finish_reason":null}]}` + "\n\n"
)

// stream sends role, tokens, finish reason, usage if asked for, and [DONE].
func (c *call) stream(spec answer.Spec, usage string, fate failure) error {
	cfg := c.server.cfg
	c.head = append(c.head, `.chunk","choices":[`...)
	first := c.begun.Add(c.jittered(cfg.FirstToken))
	if err := c.until(first); err != nil {
		return err
	}
	// The header goes out with the first event: alone it tells a client nothing.
	c.choice()
	c.event = append(append(c.event, `"role":"assistant","content":""`...), unfinished...)
	if err := c.send(streamHead); err != nil {
		return err
	}
	for i := range spec.Pieces {
		switch {
		case i == (spec.Pieces+1)/2 && fate == cut:
			return errCut
		case i == (spec.Pieces+1)/2 && fate == hang:
			return c.silence()
		case i > 0 && cfg.Gap > 0:
			if err := c.until(first.Add(time.Duration(i-1)*cfg.Gap + c.jittered(cfg.Gap))); err != nil {
				return err
			}
		}
		c.choice()
		c.event = spec.AppendPiece(append(c.event, `"content":"`...), i)
		c.event = append(append(c.event, '"'), unfinished...)
		if err := c.send(""); err != nil {
			return err
		}
	}
	c.choice()
	c.event = append(c.event, `},"logprobs":null,"finish_reason":"stop"}]}`+"\n\n"...)
	if err := c.send(""); err != nil {
		return err
	}
	if usage != "" {
		c.event = append(append(c.event[:0], "data: "...), c.head...)
		c.event = append(append(append(c.event, "],"...), usage...), "}\n\n"...)
		if err := c.send(""); err != nil {
			return err
		}
	}
	_, err := c.conn.Write([]byte("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")) // 14 bytes, and the end
	return err
}

// choice begins an event with one choice and its delta.
func (c *call) choice() {
	c.event = append(append(c.event[:0], "data: "...), c.head...)
	c.event = append(c.event, `{"index":0,"delta":{`...)
}

// send writes the event as one HTTP chunk, behind head.
func (c *call) send(head string) error {
	c.out = append(c.out[:0], head...)
	c.out = strconv.AppendInt(c.out, int64(len(c.event)), 16)
	c.out = append(append(append(c.out, "\r\n"...), c.event...), "\r\n"...)
	_, err := c.conn.Write(c.out)
	return err
}

// jittered is d, longer or shorter.
func (c *call) jittered(d time.Duration) time.Duration {
	if c.server.cfg.Jitter == 0 {
		return d
	}
	return d + time.Duration(c.server.cfg.Jitter*(2*rand.Float64()-1)*float64(d))
}

// until waits for t. The wait is a read with t as its deadline, so that it ends with an
// error as soon as the client leaves.
func (c *call) until(t time.Time) error {
	if time.Until(t) <= 0 {
		return nil
	}
	_ = c.conn.SetReadDeadline(t)
	_, err := c.in.Peek(1)
	_ = c.conn.SetReadDeadline(time.Time{})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case err != nil:
		return errLeft
	}
	<-time.After(time.Until(t)) // the next request is here already: it has to wait as well
	return nil
}

// silence lasts until the client leaves.
func (c *call) silence() error {
	for {
		if _, err := c.in.Discard(1); err != nil {
			return errLeft
		}
	}
}

// whole sends a JSON body.
func (c *call) whole(status int, body []byte) error {
	retry := ""
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		retry = "Retry-After: 1\r\n"
	}
	c.out = append(appendHead(c.out[:0], status, len(body), retry), body...)
	_, err := c.conn.Write(c.out)
	return err
}

func (c *call) refuse(status int, message string) error {
	return c.whole(status, fmt.Appendf(nil, `{"error":{"message":%q,"type":"server_error","param":null,"code":null}}`, message))
}

func appendHead(b []byte, status, length int, more string) []byte {
	return fmt.Appendf(b, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n", status, http.StatusText(status), more, length)
}
