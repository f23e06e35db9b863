package openai

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

// A server that leaves its stream open after the last finish reason keeps nobody
// waiting, and the answer is complete.
func TestStreamLeftOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := upstream.New(upstream.Config{Transport: leftOpen(suite().Begin + suite().Text("Hello") + event(`{}`, `"stop"`))})
		chat, err := protocol.ParseRequest([]byte(`{"model":"m","stream":true,"messages":[{"role":"user","content":"Hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req := &provider.Request{Model: "m", Chat: chat, Stream: true, Limits: provider.Limits{FirstToken: time.Minute, Idle: time.Hour}}
		begin := time.Now()
		out := finishes{}
		err = newProvider(t, "http://model.test/v1", client, nil).Complete(t.Context(), req, &out)
		if took := time.Since(begin); err != nil || out.finished != 1 || took != tail {
			t.Errorf("%v, %d finish reasons after %s", err, out.finished, took)
		}
		client.Close()
	})
}

// Once the answer is complete, nothing that follows turns it into an error.
func TestFaultAfterTheFinishReason(t *testing.T) {
	for name, rest := range map[string]string{
		"nothing":             "",
		"cut within an event": `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_to`,
		"garbage":             "data: garbage\n\n",
		"no choice":           `data: {"choices":[{"index":9999,"delta":{}}]}` + "\n\n",
		"error in data":       `data: {"error":{"message":"too late","type":"server_error"}}` + "\n\n",
		"flat error":          `data: {"message":"too late"}` + "\n\n",
		"error event":         "event: error\ndata: {\"message\":\"too late\"}\n\n",
		"error field":         "error: {\"message\":\"too late\"}\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			client := upstream.New(upstream.Config{Transport: closed(suite().Begin + suite().Text("Hello") + event(`{}`, `"stop"`) + rest)})
			defer client.Close()
			p := newProvider(t, "http://model.test/v1", client, nil)
			for _, choices := range []string{"1", "2"} {
				chat, err := protocol.ParseRequest([]byte(`{"model":"m","stream":true,"n":` + choices + `,"messages":[{"role":"user","content":"Hello"}]}`))
				if err != nil {
					t.Fatal(err)
				}
				req := &provider.Request{Model: "m", Chat: chat, Stream: true, Limits: provider.Limits{FirstToken: time.Minute, Idle: time.Hour}}
				out := finishes{}
				err = p.Complete(t.Context(), req, &out)
				if fails := choices == "2" && name != "nothing"; (err != nil) != fails || out.finished != 1 {
					t.Errorf("of %s choices: %v, %d finish reasons", choices, err, out.finished)
				}
			}
		})
	}
}

// closed answers with a body that ends.
type closed string

func (s closed) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(s))), Request: r}, nil
}

// leftOpen answers with a body that never ends.
type leftOpen string

func (s leftOpen) RoundTrip(r *http.Request) (*http.Response, error) {
	pr, pw := io.Pipe()
	context.AfterFunc(r.Context(), func() { pw.CloseWithError(context.Cause(r.Context())) })
	go func() { _, _ = io.WriteString(pw, string(s)) }()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: pr, Request: r}, nil
}
