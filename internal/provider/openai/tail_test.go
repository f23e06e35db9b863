package openai

import (
	"context"
	"io"
	"net/http"
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

// leftOpen answers with a body that never ends.
type leftOpen string

func (s leftOpen) RoundTrip(r *http.Request) (*http.Response, error) {
	pr, pw := io.Pipe()
	context.AfterFunc(r.Context(), func() { pw.CloseWithError(context.Cause(r.Context())) })
	go func() { _, _ = io.WriteString(pw, string(s)) }()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: pr, Request: r}, nil
}
