package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Chat is what to ask.
type Chat struct {
	Model    string
	Messages []Message
	Stream   bool
	Store    bool                       // keep the job, so that a broken stream can be taken up again
	Key      string                     // Idempotency-Key of a job that is kept
	Options  map[string]json.RawMessage // further members of the request; they win
}

// Listener is told of an answer as it comes. Only Say is required.
type Listener struct {
	// Say gets each piece of the text, once.
	Say func(text string) error
	// Lost is told that the server ended the stream with err, while the job goes on:
	// another worker begins it anew, and what it says is waited for.
	Lost func(err error)
	// Anew is told that what was said is void: the text of another attempt follows,
	// whole. It is not called for one that says the same and goes on from there.
	Anew func() error
}

// Answer is what the first choice said.
type Answer struct {
	ID           string
	Text         string
	FinishReason string
	Usage        json.RawMessage // as the server said it; nil if it did not
	Resumed      int             // how often the stream was taken up again
	Pending      bool            // of one that was given up: the server keeps it, and may go on with it
}

// errNotResumable says that text was lost for good.
var errNotResumable = errors.New("the connection broke in the middle of the answer, and this server's streams cannot be taken up again")

// Ask sends a chat completion request and tells l of the answer as it comes. When ctx
// ends the job is cancelled, also one that the server keeps.
func (c *Client) Ask(ctx context.Context, chat Chat, l Listener) (*Answer, error) {
	// The request outlives ctx for a moment: a job can be cancelled only by its id.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	run := &asking{c: c, chat: chat, listener: l, known: make(chan struct{}), lost: -1}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		select {
		case <-run.known:
		case <-work.Done():
		case <-time.After(cancelGrace):
		}
		cancel()
	})
	err := run.run(work)
	if stop() {
		return &run.answer, err
	}
	cancel()
	<-ended
	if err == nil { // it was done just then
		return &run.answer, nil
	}
	if run.answer.ID != "" && run.chat.Store {
		c.abandon(context.WithoutCancel(ctx), run.answer.ID)
	}
	return &run.answer, context.Cause(ctx)
}

// cancelGrace is how long a cancelled request may take to tell its id.
const cancelGrace = 3 * time.Second

// abandon cancels a kept job that nobody waits for any more. A server that cannot do
// that, or is gone, must not keep the caller.
func (c *Client) abandon(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, cancelGrace)
	defer cancel()
	resp, err := c.send(ctx, request{method: http.MethodPost, path: completionPath(id) + "/cancel"})
	if err == nil {
		resp.Body.Close()
	}
}

const chatPath = "chat/completions"

func completionPath(id string) string { return chatPath + "/" + url.PathEscape(id) }
