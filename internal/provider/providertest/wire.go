package providertest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// wire is an in-memory network: it answers every request with one response, whose
// body arrives in the given pieces.
type wire struct {
	call  *FixtureCall
	piece func(body []byte, at int) int // length of the piece that begins at
	end   error                         // what follows the last byte: io.EOF or a broken connection
	until int                           // bytes that arrive before end

	sent string // the last request
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	w.sent = formatRequest(r, body)
	return &http.Response{
		StatusCode: w.call.Status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        w.call.Header,
		ContentLength: -1,
		Body:          io.NopCloser(&pieces{body: w.call.Body[:w.until], piece: w.piece, end: w.end, done: r.Context().Done()}),
		Request:       r,
	}, nil
}

// pieces is a body in pieces, until the request's context ends.
type pieces struct {
	body  []byte
	at    int
	piece func(body []byte, at int) int
	end   error
	done  <-chan struct{}
}

func (p *pieces) Read(b []byte) (int, error) {
	select {
	case <-p.done:
		return 0, io.ErrClosedPipe
	default:
	}
	if p.at == len(p.body) {
		return 0, p.end
	}
	n := copy(b, p.body[p.at:min(p.at+p.piece(p.body, p.at), len(p.body))])
	p.at += n
	return n, nil
}

// whole lets everything arrive at once.
func whole(body []byte, at int) int { return len(body) - at }

// byByte lets one byte arrive at a time.
func byByte([]byte, int) int { return 1 }

// cutAt lets the body arrive in two pieces.
func cutAt(offset int) func([]byte, int) int {
	return func(body []byte, at int) int {
		if at < offset {
			return offset - at
		}
		return len(body) - at
	}
}

// formatRequest writes down a request: its line, its headers in order, its body.
// What is secret is named but not shown.
func formatRequest(r *http.Request, body []byte) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL.RequestURI())
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.ReplaceAll(strings.Join(r.Header[name], ", "), Key, "<key>"))
	}
	fmt.Fprintf(&b, "\n%s\n", bytes.TrimSpace(body))
	return b.String()
}
