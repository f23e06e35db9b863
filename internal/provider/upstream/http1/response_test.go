package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

const testMaxHeader = 8 << 10

// readResponse reads one response as an exchange does.
func readResponse(from io.Reader, method string) (*response, []byte, error) {
	r := &response{}
	(&buffers{}).lend(&r.source, from)
	if err := r.begin(method == http.MethodHead, testMaxHeader); err != nil {
		return r, nil, err
	}
	body, err := io.ReadAll(readFunc(r.next))
	return r, body, err
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestResponses(t *testing.T) {
	for _, c := range []struct {
		name, response string
		status         int
		body           string
		keep           bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", true},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, "ok", true},
		{"odd case, blanks", "HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh: \t 2 \r\n\r\nok", 200, "ok", true},
		{"same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, world...\r\n0\r\n\r\n", 200, "hello, world...", true},
		{"chunks, trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n00\r\nX-Sum: 1\r\nY: 2\r\n\r\n", 200, "a", true},
		{"until close", "HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end", false},
		{"closes", "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 1\r\n\r\na", 200, "a", false},
		{"closes, lasts", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", 200, "a", false},
		{"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 200, "a", false},
		{"1.0 keep-alive", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na", 200, "a", true},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", 200, "a", true},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
		{"304 with length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, "", true},
	} {
		for how, from := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "by byte": iotest.OneByteReader, "with the end": iotest.DataErrReader,
		} {
			r, body, err := readResponse(from(strings.NewReader(c.response)), http.MethodPost)
			if err != nil || r.status != c.status || string(body) != c.body || r.keep != c.keep {
				t.Errorf("%s, %s: %d %q keep=%v, %v", c.name, how, r.status, body, r.keep, err)
			}
		}
	}
}

func TestResponsesRefused(t *testing.T) {
	const ok, chunked = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, response := range map[string]string{
		"no http":                   "SSH-2.0-OpenSSH\r\n\r\n",
		"http/2":                    "HTTP/2.0 200 OK\r\n\r\n",
		"status of two digits":      "HTTP/1.1 20 OK\r\n\r\n",
		"status of four digits":     "HTTP/1.1 2000 OK\r\n\r\n",
		"status below 100":          "HTTP/1.1 099 OK\r\n\r\n",
		"switching protocols":       "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"interim for ever":          strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100),
		"no colon":                  ok + "Content-Length 5\r\n\r\n",
		"blank before colon":        ok + "Content-Length : 5\r\n\r\nhello",
		"folded":                    ok + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
		"nul":                       ok + "X: a\x00b\r\nContent-Length: 0\r\n\r\n",
		"carriage return":           ok + "X: a\rb\r\nContent-Length: 0\r\n\r\n",
		"empty name":                ok + ": b\r\n\r\n",
		"header bomb":               ok + strings.Repeat("X: y\r\n", testMaxHeader),
		"long header":               ok + "X: " + strings.Repeat("y", testMaxHeader) + "\r\n\r\n",
		"many headers":              "HTTP/1.1 500 No\r\n" + strings.Repeat("a:\r\n", maxFields+1) + "\r\n",
		"negative length":           ok + "Content-Length: -1\r\n\r\n",
		"signed length":             ok + "Content-Length: +1\r\n\r\na",
		"length overflows":          ok + "Content-Length: 9223372036854775808\r\n\r\na",
		"empty length":              ok + "Content-Length:\r\n\r\na",
		"list of lengths":           ok + "Content-Length: 1, 1\r\n\r\na",
		"two lengths":               ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"two writings":              ok + "Content-Length: 1\r\nContent-Length: 01\r\n\r\nab",
		"length and chunks":         ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks and length":         ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"chunked twice":             ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"other encoding":            ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"identity":                  ok + "Transfer-Encoding: identity\r\n\r\n",
		"chunks in 1.0":             "HTTP/1.0 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunk size not hex":        chunked + "g\r\n",
		"chunk size signed":         chunked + "-1\r\n",
		"chunk size prefixed":       chunked + "0x1\r\na\r\n0\r\n\r\n",
		"chunk size empty":          chunked + "\r\n",
		"chunk size overflows":      chunked + "8000000000000000\r\n",
		"chunk size long":           chunked + strings.Repeat("0", 17) + "\r\n\r\n",
		"chunk line long":           chunked + "1;" + strings.Repeat("x", maxChunkLine) + "\r\na\r\n0\r\n\r\n",
		"chunk line with bare lf":   chunked + "1\na\r\n0\r\n\r\n",
		"chunk line with cr":        chunked + "1;\r\r\na\r\n0\r\n\r\n",
		"chunk longer than said":    chunked + "1\r\nab\r\n0\r\n\r\n",
		"chunk extensions as flood": chunked + strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\na\r\n", 100) + "0\r\n\r\n",
		"trailer no header":         chunked + "0\r\nGET / HTTP/1.1\r\n\r\n",
		"trailer long":              chunked + "0\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 20) + "\r\n",
	} {
		_, body, err := readResponse(strings.NewReader(response), http.MethodPost)
		if _, ok := errors.AsType[*MalformedError](err); !ok {
			t.Errorf("%s: got %q, %v", name, body, err)
		}
	}
}

// Every beginning of a response is an error, unless its end is that of the connection.
func TestResponsesCutShort(t *testing.T) {
	for _, whole := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
	} {
		for end := range whole {
			_, body, err := readResponse(strings.NewReader(whole[:end]), http.MethodPost)
			if want := end == 0; (err == io.EOF) != want || err == nil {
				t.Errorf("%q: got %q, %v", whole[:end], body, err)
			}
		}
	}
}

// What has arrived is handed on in one piece, however many chunks it came in, and with
// its end.
func TestChunksAreJoined(t *testing.T) {
	r := &response{}
	(&buffers{}).lend(&r.source, strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+
		strings.Repeat("3\r\nabc\r\n", 50)+"0\r\n\r\nmore"))
	if err := r.begin(false, testMaxHeader); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1000)
	n, err := r.next(p)
	if string(p[:n]) != strings.Repeat("abc", 50) || err != io.EOF || string(r.pending()) != "more" {
		t.Errorf("got %q, %v and %q is left", p[:n], err, r.pending())
	}
	if n, err := r.next(p); n != 0 || err != io.EOF {
		t.Errorf("then %d, %v", n, err)
	}
}

// A response is read as net/http reads it, or refused for a reason that is documented:
// this package is stricter in these and in nothing else.
func stricter() []string {
	return []string{
		"status line", // blanks and signs around the number; versions other than 1.0 and 1.1
		"another protocol", "too many interim",
		"header line", // folded; a blank in or an empty name
		"header is larger", "too many header lines",
		"content length", // not a number where none is needed; beside chunks
		"transfer encoding",
		"chunk size", // above 2^63
		"chunks have more extensions",
		"trailer", // net/http skips some that are no header lines
	}
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"), true)
	f.Add([]byte("HTTP/1.0 500 No\r\nConnection: keep-alive\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"), false)
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"), true)
	f.Add([]byte("HTTP/1.1 200 \n\nto the end"), false)
	f.Fuzz(func(t *testing.T, data []byte, byByte bool) {
		var from io.Reader = bytes.NewReader(data)
		if byByte {
			from = iotest.OneByteReader(from)
		}
		ours, body, err := readResponse(from, http.MethodPost)
		theirs, wantBody, wantErr := oracle(data)
		if err == nil && (wantErr != nil || theirs.StatusCode != ours.status || !bytes.Equal(body, wantBody)) {
			t.Fatalf("read as %d %q, by net/http as %v %q, %v", ours.status, body, theirs, wantBody, wantErr)
		}
		if err == nil && ours.keep && theirs.Close {
			t.Fatal("kept open, net/http closes")
		}
		if err != nil && wantErr == nil && !isStricter(err) {
			t.Fatalf("refused: %v; net/http reads %d %q", err, theirs.StatusCode, wantBody)
		}
	})
}

func isStricter(err error) bool {
	for _, reason := range stricter() {
		if e, ok := errors.AsType[*MalformedError](err); ok && strings.HasPrefix(e.Reason, reason) {
			return true
		}
	}
	return false
}

// oracle reads a response by net/http.
func oracle(data []byte) (*http.Response, []byte, error) {
	br := bufio.NewReader(bytes.NewReader(data))
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodPost})
		if err != nil {
			return nil, nil, err
		}
		if resp.StatusCode/100 == 1 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		return resp, body, err
	}
}
