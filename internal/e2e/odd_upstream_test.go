package e2e

import (
	"compress/gzip"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
)

// odd is what a model server does and what a client must see of it.
type odd struct {
	script         script
	status         int    // of a JSON answer, and of a stream where nothing was said yet
	text           string // what is said if the status is 200
	midStream      bool   // the stream breaks after a prefix of text
	streamedStatus int    // of a stream, if another
}

const hello = "Hello there, world"

// TestOddUpstreams holds what clients see of model servers that are odd or broken:
// the right answer, or an error that says so. Never half an answer that looks whole.
func TestOddUpstreams(t *testing.T) {
	s := start(t, options{provider: "timeouts: {connect: 2s, first_token: 4s, idle: 4s, total: 10s}"})
	for name, tc := range oddUpstreams() {
		slug := "odd-" + strings.ReplaceAll(name, " ", "-")
		s.model.on(slug, tc.script)
		for _, stream := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", streamed", false: ", JSON"}[stream], func(t *testing.T) {
				t.Parallel()
				tc.run(t, s, "up/"+slug, stream)
			})
		}
	}
}

func (tc *odd) run(t *testing.T, s *system, model string, stream bool) {
	t.Helper()
	status := tc.status
	if stream && tc.streamedStatus != 0 {
		status = tc.streamedStatus
	}
	a := s.ask(t, chat(model, hello, stream))
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, short(a.body))
	}
	if status != http.StatusOK {
		if _, err := readRefusal(a.body); err != nil {
			t.Error(err)
		}
		if strings.Contains(a.body, modelKey) || strings.Contains(a.body, "<html") {
			t.Errorf("the error tells what it must not: %s", short(a.body))
		}
		return
	}
	if !stream {
		if err := checkAnswer(a.body, tc.text); err != nil {
			t.Error(err)
		}
		return
	}
	got, err := readStream(strings.NewReader(a.body))
	if err == nil {
		err = got.check(tc.text)
	}
	if tc.midStream && err != errBroken || !tc.midStream && err != nil {
		t.Errorf("%v: %s", err, short(a.body))
	}
}

// unfinished is a stream that says all of hello and does not end; sseHello a whole one,
// jsonHello the same as JSON.
var (
	unfinished = chunkOf(`{"role":"assistant","content":"Hello "}`, "null") + chunkOf(`{"content":"there, world"}`, "null")
	sseHello   = unfinished + chunkOf(`{}`, `"stop"`) + usageChunk(3) + "data: [DONE]\n\n"
	jsonHello  = wholeAnswer(hello, 3)
)

// begin says half of hello, in whatever mode.
func (c *upstreamCall) begin() {
	if c.chat.Stream {
		c.say(chunkOf(`{"role":"assistant","content":"Hello "}`, "null"))
		return
	}
	c.say(jsonHello[:len(jsonHello)/2])
}

// whole says hello, in whatever mode.
func (c *upstreamCall) whole() {
	if c.chat.Stream {
		c.say(sseHello)
		return
	}
	c.say(jsonHello)
}

func oddUpstreams() map[string]*odd {
	all := map[string]*odd{
		"SSE to a JSON request and JSON to a stream": {status: 200, text: hello, script: func(c *upstreamCall) {
			c.chat.Stream = !c.chat.Stream
			c.whole()
		}},
		"gzip": {status: 200, text: hello, script: func(c *upstreamCall) {
			c.Header().Set("Content-Encoding", "gzip")
			c.say()
			zw := gzip.NewWriter(c.ResponseWriter)
			defer zw.Close()
			c.ResponseWriter = writerOf{c.ResponseWriter, zw}
			c.whole()
		}},
		"one line of 5 MB": {status: 200, text: strings.Repeat("żółw 🐢 ", 5<<20/13), script: func(c *upstreamCall) {
			text := strings.Repeat("żółw 🐢 ", 5<<20/13)
			if !c.chat.Stream {
				c.say(wholeAnswer(text, 3))
				return
			}
			c.say(chunkOf(`{"role":"assistant","content":`+quoted(text)+`}`, "null"), chunkOf(`{}`, `"stop"`), "data: [DONE]\n\n")
		}},
		"no DONE and an open connection": {status: 200, text: hello, script: func(c *upstreamCall) {
			if !c.chat.Stream {
				c.whole()
				return
			}
			c.say(strings.TrimSuffix(sseHello, "data: [DONE]\n\n"))
			c.gone()
		}},
	}
	maps.Copy(all, brokenUpstreams())
	return all
}

// writerOf is a ResponseWriter whose body goes through w.
type writerOf struct {
	http.ResponseWriter
	w io.Writer
}

func (w writerOf) Write(p []byte) (int, error) { return w.w.Write(p) }

func brokenUpstreams() map[string]*odd {
	refuse := func(status int, kind, body string) script {
		return func(c *upstreamCall) {
			c.Header().Set("Content-Type", kind)
			c.WriteHeader(status)
			c.say(body)
		}
	}
	return map[string]*odd{
		"refuses the key": {status: 502, script: refuse(401, "application/json", `{"error":{"message":"Incorrect API key provided: `+modelKey+`","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`)},
		"forbids":         {status: 502, script: refuse(403, "application/json", `{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}`)},
		"HTML of a proxy": {status: 502, script: refuse(502, "text/html", "<html><body>Bad Gateway</body></html>")},
		"HTML in a 200":   {status: 502, script: refuse(200, "text/html", "<html><body>Welcome</body></html>")},
		"empty 200":       {status: 502, script: func(c *upstreamCall) { c.WriteHeader(200) }},
		"flat error of old vLLM": {status: 400, script: refuse(400, "application/json",
			`{"object":"error","message":"too many","type":"BadRequestError","param":null,"code":400}`)},
		"error in a 200":     {status: 502, script: refuse(200, "application/json", `{"error":{"message":"it broke","type":"server_error","param":null,"code":null}}`)},
		"dies before a word": {status: 502, script: func(c *upstreamCall) { c.cut() }},
		"dies in the middle": {status: 502, streamedStatus: 200, text: hello, midStream: true, script: func(c *upstreamCall) {
			c.begin()
			c.cut()
		}},
		"ends in the middle": {status: 502, streamedStatus: 200, text: hello, midStream: true, script: func(c *upstreamCall) { c.begin() }},
		"error event in the middle": {status: 502, streamedStatus: 200, text: hello, midStream: true, script: func(c *upstreamCall) {
			c.begin()
			c.say(`data: {"error":{"message":"out of memory","type":"server_error","param":null,"code":500}}`+"\n\n", "data: [DONE]\n\n")
		}},
		"hangs before headers": {status: 504, script: func(c *upstreamCall) { c.gone() }},
		"hangs before a token": {status: 504, script: func(c *upstreamCall) { c.say(""); c.gone() }},
		"comments but no token": {status: 504, script: func(c *upstreamCall) {
			for c.pause(100_000_000) {
				c.say(": still thinking\n\n")
			}
		}},
		"hangs in the middle": {status: 504, streamedStatus: 200, text: hello, midStream: true, script: func(c *upstreamCall) {
			c.begin()
			c.gone()
		}},
	}
}

// TestUpstreamRefusesConnections holds that a server that is not there is a 502.
func TestUpstreamRefusesConnections(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	s := start(t, options{file: "  away: {kind: openai, base_url: 'http://" + address + "/v1', retries: {attempts: 2, base: 10ms}}"})
	for _, stream := range []bool{false, true} {
		a := s.ask(t, chat("away/any", hello, stream))
		if _, err := readRefusal(a.body); a.status != http.StatusBadGateway || err != nil {
			t.Errorf("stream %t: %d %s (%v)", stream, a.status, a.body, err)
		}
	}
	s.idle(t)
}
