package http1

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
)

const (
	maxInterim = 8   // 1xx responses before the one that counts
	maxFields  = 512 // header lines of one response
)

// MalformedError says why a response could not be read.
type MalformedError struct {
	Reason string
	Large  bool // its header exceeds a limit, as it would the next time
}

// Error implements error.
func (e *MalformedError) Error() string { return "malformed response: " + e.Reason }

func malformed(reason string) error { return &MalformedError{Reason: reason} }

func tooLarge(reason string) error { return &MalformedError{Reason: reason, Large: true} }

// head is a response's status line and what its header says about the message.
type head struct {
	status  int
	header  http.Header // see Exchange.Header
	length  int64       // -1: not said
	digits  int         // how the length was written: "01" and "1" contradict each other
	chunked bool
	keep    bool // the server keeps the connection open
	old     bool // HTTP/1.0
	closes  bool // "Connection: close"
	alive   bool // "Connection: keep-alive"
}

// readHead reads a response's head, and those of interim responses before it. most
// bounds them together.
func (s *source) readHead(h *head, most int) error {
	for range maxInterim {
		if err := s.readOneHead(h, &most); err != nil {
			return err
		}
		if h.status == http.StatusSwitchingProtocols {
			return malformed("another protocol, which was not asked for")
		}
		if h.status/100 != 1 {
			return nil
		}
	}
	return malformed("too many interim responses")
}

func (s *source) readOneHead(h *head, left *int) error {
	*h = head{length: -1}
	line, err := s.headLine(left)
	if err != nil {
		return err
	}
	if err := h.statusLine(line); err != nil {
		return err
	}
	for range maxFields {
		if line, err = s.headLine(left); err != nil {
			return noEOF(err)
		}
		if len(line) == 0 {
			return h.check()
		}
		if err := h.field(line); err != nil {
			return err
		}
	}
	return tooLarge("too many header lines")
}

// headLine returns the next line without its end, CR LF or a bare LF.
func (s *source) headLine(left *int) ([]byte, error) {
	line, err := s.line(*left)
	if errors.Is(err, errLineTooLong) {
		return nil, tooLarge("header is larger than allowed")
	}
	*left -= len(line) + 1
	return bytes.TrimSuffix(line, []byte{'\r'}), err
}

// statusLine reads "HTTP/1.1 200 OK"; the reason may be missing.
func (h *head) statusLine(line []byte) error {
	const proto = "HTTP/1."
	if len(line) < len("HTTP/1.1 200") || string(line[:len(proto)]) != proto || line[8] != ' ' ||
		line[7] != '0' && line[7] != '1' || len(line) > 12 && line[12] != ' ' {
		return malformed("status line")
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return malformed("status line")
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 {
		return malformed("status line")
	}
	h.old = line[7] == '0'
	return nil
}

// field reads a header line.
func (h *head) field(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok || !isToken(name) { // a folded line begins with a blank: no token
		return malformed("header line")
	}
	value = bytes.Trim(value, " \t")
	if slices.ContainsFunc(value, isControl) {
		return malformed("header value")
	}
	switch {
	case is(name, "content-length"):
		return h.contentLength(value)
	case is(name, "transfer-encoding"):
		if h.chunked || !is(value, "chunked") {
			return malformed("transfer encoding")
		}
		h.chunked = true
	case is(name, "connection"):
		h.connection(value)
	case h.status/100 != 2 || is(name, "content-encoding"):
		if h.header == nil {
			h.header = make(http.Header)
		}
		h.header.Add(string(name), string(value))
	}
	return nil
}

func (h *head) contentLength(value []byte) error {
	n, ok := decimal(value)
	if !ok || h.length >= 0 && (n != h.length || len(value) != h.digits) {
		return malformed("content length")
	}
	h.length, h.digits = n, len(value)
	return nil
}

// connection reads a list of what holds for this connection only.
func (h *head) connection(value []byte) {
	for token := range bytes.SplitSeq(value, []byte{','}) {
		token = bytes.Trim(token, " \t")
		h.closes = h.closes || is(token, "close")
		h.alive = h.alive || is(token, "keep-alive")
	}
}

// check refuses what two readers might understand in two ways.
func (h *head) check() error {
	if h.chunked && h.length >= 0 {
		return malformed("content length with transfer encoding")
	}
	if h.chunked && h.old {
		return malformed("transfer encoding in HTTP/1.0")
	}
	h.keep = !h.closes && (h.alive || !h.old)
	return nil
}

// decimal reads a number of digits alone.
func decimal(b []byte) (int64, bool) {
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(b) > 0
}

// is reports whether b is the lower-case word, in any case.
func is(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// isToken reports whether b may be a header's name or a method (RFC 9110, 5.6.2).
func isToken[T string | []byte](b T) bool {
	for i := range len(b) {
		c := b[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}

// isControl reports whether c may not stand in a header's value.
func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// named adds what was being done to an error of the network.
func named(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}
