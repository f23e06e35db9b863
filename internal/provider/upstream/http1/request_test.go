package http1

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// lines writes a request's head and returns its lines, the headers sorted.
func lines(t *testing.T, r *Request) []string {
	t.Helper()
	head, err := r.appendHead(nil)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n")
	slices.Sort(all[1:])
	return all
}

func TestHead(t *testing.T) {
	own := http.Header{"Host": {"evil"}, "Content-Length": {"1"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X"}, "User-Agent": {"me"}, "X": {"a", "b"}}
	for _, c := range []struct {
		name string
		req  Request
		want []string
	}{
		{"post", Request{Target: target(t, "http://h:8000/v1?x=a%20b#f"), Method: "POST", Body: []byte("{}")},
			[]string{"POST /v1?x=a%20b HTTP/1.1", "Content-Length: 2", "Host: h:8000", "User-Agent: osiris"}},
		{"get", Request{Target: target(t, "https://h"), Method: "GET"},
			[]string{"GET / HTTP/1.1", "Host: h", "User-Agent: osiris"}},
		{"empty post", Request{Target: target(t, "http://h:"), Method: "POST"},
			[]string{"POST / HTTP/1.1", "Content-Length: 0", "Host: h", "User-Agent: osiris"}},
		{"own headers", Request{Target: target(t, "http://[::1]/"), Method: "GET", Header: own},
			[]string{"GET / HTTP/1.1", "Host: [::1]", "User-Agent: me", "X: a", "X: b"}},
		{"id", Request{Target: target(t, "http://h/"), Method: "GET", Header: http.Header{"x-client-request-id": {"theirs"}}, ID: "ours"},
			[]string{"GET / HTTP/1.1", "Host: h", "User-Agent: osiris", "X-Client-Request-Id: ours"}},
		{"no agent", Request{Target: target(t, "http://h/"), Method: "GET", Header: http.Header{"User-Agent": {""}}},
			[]string{"GET / HTTP/1.1", "Host: h"}},
		{"user", Request{Target: target(t, "http://u:p@h/"), Method: "GET"},
			[]string{"GET / HTTP/1.1", "Authorization: Basic dTpw", "Host: h", "User-Agent: osiris"}},
		{"user and key", Request{Target: target(t, "http://u:p@h/"), Method: "GET", Header: http.Header{"Authorization": {"Bearer k"}}},
			[]string{"GET / HTTP/1.1", "Authorization: Bearer k", "Host: h", "User-Agent: osiris"}},
	} {
		if got := lines(t, &c.req); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
}

// What would break the request apart is not sent, and the error does not repeat it.
func TestHeadRefused(t *testing.T) {
	s := newServer(t, func(_ int32, _ net.Conn, in *bufio.Reader) {
		if b, err := in.ReadByte(); err == nil {
			t.Errorf("a byte was sent: %q", b)
		}
	})
	transport := newTransport(t, Config{})
	for name, req := range map[string]Request{
		"line feed":       {Method: "GET", Header: http.Header{"X": {"secret\nY: b"}}},
		"carriage return": {Method: "GET", Header: http.Header{"X": {"secret\rY: b"}}},
		"nul":             {Method: "GET", Header: http.Header{"X": {"secret\x00"}}},
		"name":            {Method: "GET", Header: http.Header{"X: a\r\nY": {"secret"}}},
		"empty name":      {Method: "GET", Header: http.Header{"": {"secret"}}},
		"method":          {Method: "GET / HTTP/1.1\r\nX:"},
		"empty method":    {},
	} {
		req.Target = s.target
		var e Exchange
		if err := e.Do(t.Context(), transport, &req); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		_ = e.Close()
	}
}

func TestTargetsRefused(t *testing.T) {
	for address, unsupported := range map[string]bool{
		"ftp://h/": true, "http:opaque": true, "http://": true, "http://żółw.pl/": true, "http://[fe80::1%25eth0]/": true,
		"http://h/?a b": false, "//h/": true,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewTarget(u); err == nil || (err == ErrUnsupported) != unsupported {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// FuzzHead: whatever the headers are, net/http reads the request as it was meant, or
// it is refused.
func FuzzHead(f *testing.F) {
	f.Add("POST", "X-Key", "value", "body")
	f.Add("GET", "Connection", "close\r\n", "")
	f.Add("PUT", "content-length", "9", "x")
	to := target(f, "http://h/p?q")
	f.Fuzz(func(t *testing.T, method, name, value, body string) {
		r := Request{Target: to, Method: method, Header: http.Header{name: {value}}, Body: []byte(body)}
		head, err := r.appendHead(nil)
		if err != nil {
			return
		}
		in := bufio.NewReader(strings.NewReader(string(head) + body))
		got, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		sent, err := io.ReadAll(got.Body)
		if err != nil || string(sent) != body || got.Method != method || got.Host != "h" || got.RequestURI != "/p?q" || in.Buffered() > 0 || len(got.Header) > 3 {
			t.Errorf("%q: read as %s %v %q, %v", head, got.Method, got.Header, sent, err)
		}
	})
}
