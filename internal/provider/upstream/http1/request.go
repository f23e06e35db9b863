package http1

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
)

// inlineBody is the largest body that is copied behind its header and written at once:
// no more than what the buffers of two kernels hold, so that Write does not wait for a
// server that answers without reading.
const inlineBody = 64 << 10

// Request is one request. Nothing of it is modified.
type Request struct {
	Target *Target
	Method string
	Header http.Header // without Host and what frames the message; values with control characters are an error
	ID     string      // sent as X-Client-Request-Id, also instead of one in Header; "": none
	Body   []byte      // must stay unchanged until the exchange is closed; nil: none
	Sent   func()      // called when all was written, maybe by another goroutine, maybe twice; nil: nobody
}

// appendHead writes the request up to its body.
func (r *Request) appendHead(b []byte) ([]byte, error) {
	if !isToken(r.Method) {
		return nil, fmt.Errorf("method %q is not allowed", r.Method)
	}
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.Target.uri...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.Target.host...)
	b = append(b, "\r\n"...)
	agent, auth := false, r.Target.auth
	var err error
	for name, values := range r.Header {
		switch {
		case equalFold(name, "user-agent"):
			agent = true
			if len(values) == 0 || values[0] == "" {
				continue // wished away
			}
		case equalFold(name, "authorization"):
			auth = ""
		case r.ID != "" && equalFold(name, "x-client-request-id"):
			continue
		case equalFold(name, "host"), equalFold(name, "content-length"), equalFold(name, "transfer-encoding"), equalFold(name, "trailer"):
			continue
		}
		if b, err = appendField(b, name, values); err != nil {
			return nil, err
		}
	}
	if !agent {
		b = append(b, "User-Agent: osiris\r\n"...)
	}
	if auth != "" {
		b, _ = appendField(b, "Authorization", []string{auth})
	}
	if r.ID != "" {
		if b, err = appendField(b, "X-Client-Request-Id", []string{r.ID}); err != nil {
			return nil, err
		}
	}
	if r.Body != nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(r.Body)), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

// appendField never repeats a value in its error: it may be a key.
func appendField(b []byte, name string, values []string) ([]byte, error) {
	if !isToken(name) {
		return nil, fmt.Errorf("header name %q is not allowed", name)
	}
	for _, value := range values {
		for i := range len(value) {
			if isControl(value[i]) {
				return nil, fmt.Errorf("header %s has a control character in its value", name)
			}
		}
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, value...)
		b = append(b, "\r\n"...)
	}
	return b, nil
}

// equalFold reports whether s is the lower-case word, in any case.
func equalFold(s, word string) bool {
	if len(s) != len(word) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// write sends the request. A large body is sent by a goroutine, which write starts and
// the exchange waits for; then the error is nil.
func (e *Exchange) write(c *conn, r *Request) error {
	buf := e.transport.buffers.scratch()
	head, err := r.appendHead(*buf)
	if err != nil {
		e.transport.buffers.keep(buf)
		return &requestError{err}
	}
	if len(r.Body) > inlineBody {
		e.written = make(chan struct{})
		go e.writeLarge(c, r, head)
		return nil
	}
	*buf = append(head, r.Body...)
	_, err = c.stream.Write(*buf)
	e.transport.buffers.keep(buf)
	if err == nil && r.Sent != nil {
		r.Sent()
	}
	return named("send request", err)
}

func (e *Exchange) writeLarge(c *conn, r *Request, head []byte) {
	defer close(e.written)
	parts := net.Buffers{head, r.Body}
	if _, err := parts.WriteTo(c.stream); err != nil {
		return // what the server said, or the broken connection, is found by the reader
	}
	e.whole.Store(true)
	if r.Sent != nil {
		r.Sent()
	}
}

// requestError is a request that cannot be sent anywhere.
type requestError struct{ error }

func (e *requestError) Unwrap() error { return e.error }
