package frontend

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

const invalid = "invalid_request_error"

// Every bad request has its status and the four-key envelope.
func TestBadInput(t *testing.T) {
	cfg := anyone()
	cfg.MaxBody = 1 << 20
	r := start(t, cfg, nil)
	messages := `"messages":[{"role":"user","content":"x"}]`
	for name, tc := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		code               string
	}{
		"malformed":        {body: `{"model":`, status: 400},
		"empty":            {body: ``, status: 400},
		"array":            {body: `[]`, status: 400, code: "invalid_type"},
		"no model":         {body: `{` + messages + `}`, status: 400},
		"no messages":      {body: `{"model":"m"}`, status: 400, code: "missing_required_parameter"},
		"empty messages":   {body: `{"model":"m","messages":[]}`, status: 400, code: "empty_array"},
		"wrong type":       {body: `{"model":"m","messages":"x"}`, status: 400, code: "invalid_type"},
		"bad range":        {body: `{"model":"m","temperature":3,` + messages + `}`, status: 400, code: "decimal_above_max_value"},
		"bad enum":         {body: `{"model":"m","messages":[{"role":"bot","content":"x"}]}`, status: 400, code: "invalid_value"},
		"stream as string": {body: `{"model":"m","stream":"true",` + messages + `}`, status: 400, code: "invalid_type"},
		"not utf-8":        {body: "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}", status: 400},
		"deep nesting":     {body: `{"model":"m","messages":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, status: 400},
		"unknown route":    {path: "/v1/nothing", status: 404},
		"path escape":      {path: "/v1/../etc/passwd%00", status: 404},
		"wrong method":     {method: "PATCH", status: 405, code: "method_not_supported"},
		"odd method":       {method: "BREW", status: 405, code: "method_not_supported"},
		"post to models":   {path: "/v1/models", status: 405, code: "method_not_supported"},
		"too large":        {body: strings.Repeat(" ", 1<<20+1), status: 413},
		"brotli":           {body: "x", header: []string{"Content-Encoding", "br"}, status: 415},
		"twice":            {body: "x", header: []string{"Content-Encoding", "gzip, gzip"}, status: 415},
		"not gzip":         {body: "x", header: []string{"Content-Encoding", "gzip"}, status: 400},
		"gzip bomb":        {body: gzipped(strings.Repeat(" ", 100<<20)), header: []string{"Content-Encoding", "gzip"}, status: 413},
		"header too large": {header: []string{"X-Long", strings.Repeat("x", 70<<10)}, status: 431},
	} {
		t.Run(name, func(t *testing.T) {
			method, path := tc.method, tc.path
			if method == "" {
				method = http.MethodPost
			}
			if path == "" {
				path = "/v1/chat/completions"
			}
			resp, body := r.do(method, path, tc.body, tc.header...)
			wantError(t, resp, body, tc.status, invalid, tc.code)
			if tc.status == http.StatusMethodNotAllowed && !strings.Contains(resp.Header.Get("Allow"), "OPTIONS") {
				t.Errorf("allow: %q", resp.Header.Get("Allow"))
			}
		})
	}
}

// What is no HTTP request at all is refused in the same words.
func TestBadHTTP(t *testing.T) {
	cfg := anyone()
	cfg.ReadTimeout = 100 * time.Millisecond
	r := start(t, cfg, nil)
	for name, tc := range map[string]struct {
		text   string
		status int
	}{
		"bad request line": {"hello there\r\n\r\n", 400},
		"no host":          {"GET /v1/models HTTP/1.1\r\n\r\n", 400},
		"bad length":       {"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400},
		"bad chunk":        {"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		"secret in header": {"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-secret\r\nbad header\r\n\r\n", 400},
		"slow header":      {"POST /v1/chat/completions HTTP/1.1\r\nHost:", 408},
		"slow body":        {"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{", 408},
		"two lengths":      {"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		"too much, asked":  {"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n", 413},
		"stream in 1.0":    {strings.Replace(rawPost(streamRequest), "HTTP/1.1", "HTTP/1.0", 1), 505},
		"huge length":      {"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{", 413},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := readResponse(t, r.raw(tc.text))
			wantError(t, resp, body, tc.status, invalid, "")
			if !resp.Close {
				t.Error("the connection stays open")
			}
			if strings.Contains(string(body), "sk-secret") || strings.Contains(string(body), "goroutine") {
				t.Errorf("leaks: %s", body)
			}
		})
	}
	if strings.Contains(r.log.String(), "sk-secret") {
		t.Error("the key is in the log")
	}
}

// A refusal reaches a client that is still sending.
func TestRefusalWhileSending(t *testing.T) {
	cfg := anyone()
	cfg.MaxBody = 1 << 20
	r := start(t, cfg, nil)
	for range 20 {
		resp, body := r.post(strings.Repeat("x", 8<<20))
		wantError(t, resp, body, http.StatusRequestEntityTooLarge, invalid, "")
	}
}

// A stranger's large body is not taken in.
func TestStrangersBody(t *testing.T) {
	r := start(t, Config{}, nil)
	resp, body := r.post(strings.Repeat("x", 1<<20))
	wantError(t, resp, body, http.StatusUnauthorized, invalid, "")
}

// Somebody who sends slowly but steadily gets the time it takes.
func TestSlowUpload(t *testing.T) {
	cfg := anyone()
	cfg.ReadTimeout = 150 * time.Millisecond
	r := start(t, cfg, speak)
	request := rawPost(plainRequest[:len(plainRequest)-1] + strings.Repeat(" ", 4000) + "}")
	c := r.raw(request[:100])
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for rest := request[100:]; rest != ""; {
		<-tick.C
		n := min(len(rest), 200)
		if _, err := io.WriteString(c, rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if resp, body := readResponse(t, c); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
}

// Compressed bodies arrive as they were.
func TestEncodings(t *testing.T) {
	r := start(t, anyone(), speak)
	for name, tc := range map[string]struct{ encoding, body string }{
		"gzip":        {"gzip", gzipped(plainRequest)},
		"zlib":        {"deflate", zlibbed(plainRequest)},
		"raw deflate": {"Deflate", deflated(plainRequest)},
		"identity":    {"identity", plainRequest},
	} {
		t.Run(name, func(t *testing.T) {
			if resp, body := r.post(tc.body, "Content-Encoding", tc.encoding); resp.StatusCode != http.StatusOK {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
}

// A corrupt body is not called bad JSON.
func TestCorruptEncodings(t *testing.T) {
	r := start(t, anyone(), nil)
	for name, tc := range map[string]struct{ encoding, body string }{
		"gzip": {"gzip", "x"}, "cut gzip": {"gzip", gzipped(plainRequest)[:20]}, "deflate": {"deflate", "\xff\xff\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := r.post(tc.body, "Content-Encoding", tc.encoding)
			message := wantError(t, resp, body, http.StatusBadRequest, invalid, "")
			if !strings.HasPrefix(message, "The body could not be decompressed as "+tc.encoding) {
				t.Errorf("message %q", message)
			}
		})
	}
}

// No prompt gets into the log by way of the model's name, and no name fills it.
func TestLoggedModel(t *testing.T) {
	r := start(t, anyone(), speak)
	if resp, body := r.post(strings.Replace(plainRequest, `"echo"`, `"echo?text=secret"`, 1)); resp.StatusCode >= 500 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	resp, body := r.post(strings.Replace(plainRequest, `"echo"`, `"`+strings.Repeat("m", 1<<20)+`"`, 1))
	wantError(t, resp, body, http.StatusNotFound, invalid, "model_not_found")
	if len(body) > 1<<10 {
		t.Errorf("the name is repeated in %d bytes", len(body))
	}
	eventually(t, "both are logged", func() bool { return strings.Count(r.log.String(), `"msg":"request"`) == 2 })
	log := r.log.String()
	if !strings.Contains(log, `"model":"echo"`) || strings.Contains(log, "secret") || strings.Contains(log, strings.Repeat("m", 65)) {
		t.Errorf("logged: %.2000s", log)
	}
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s) // a bytes.Buffer takes everything
	_ = w.Close()
	return b.String()
}

func zlibbed(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

func deflated(s string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed) // the level is a valid one
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

func FuzzInflate(f *testing.F) {
	f.Add([]byte(gzipped(plainRequest)), "gzip")
	f.Add([]byte(deflated(plainRequest)), "deflate")
	f.Add([]byte(plainRequest), "")
	f.Fuzz(func(t *testing.T, body []byte, encoding string) {
		const limit = 4 << 10
		out, err := inflate(body, encoding, limit)
		if err == nil && len(out) > max(limit, len(body)) {
			t.Fatalf("%d bytes beyond the limit", len(out))
		}
	})
}

// Whatever the path, at most one route is meant, and an id is one segment.
func FuzzFind(f *testing.F) {
	for _, path := range []string{"", "/", "/v1/v1/", "/v1/models/a%2Fb/", "/v1/chat/completions/x/cancel", "/v1/chat/completions//messages", "/v1/files/%zz", "/v1/chat/completions/%00/"} {
		f.Add("GET", path)
	}
	s := &Server{}
	s.routes = s.allRoutes()
	f.Fuzz(func(t *testing.T, method, path string) {
		r, param, allowed, err := s.find(method, path)
		switch {
		case err == nil && (r.handler == nil || allowed != ""):
			t.Fatalf("%s %s: a route without a handler, or with others: %q", method, path, allowed)
		case err == nil && strings.Contains(r.path, "{") == (param == ""):
			t.Fatalf("%s %s is %s with parameter %q", method, path, r.path, param)
		case err != nil && allowed != "" && !strings.Contains(allowed, "OPTIONS"):
			t.Fatalf("%s %s: allowed are %q", method, path, allowed)
		}
	})
}

func TestClasses(t *testing.T) {
	for _, c := range []struct {
		tier       string
		background bool
		class      jobs.Class
		answer     string
	}{
		{"", false, jobs.Interactive, ""},
		{"auto", false, jobs.Interactive, "default"},
		{"default", false, jobs.Interactive, "default"},
		{"priority", false, jobs.Interactive, "priority"},
		{"flex", false, jobs.Background, "flex"},
		{"", true, jobs.Background, ""},
		{"auto", true, jobs.Background, "flex"},
		{"flex", true, jobs.Background, "flex"},
		{"default", true, jobs.Interactive, "default"},
		{"priority", true, jobs.Interactive, "priority"},
	} {
		if class, answer := classOf(c.tier, c.background); class != c.class || answer != c.answer {
			t.Errorf("%q, background %v: %v, %q", c.tier, c.background, class, answer)
		}
	}
}
